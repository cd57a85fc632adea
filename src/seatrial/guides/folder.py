"""A guide's folder: its README, AIPP file and scripts, each read as text, and what they say together."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seatrial.data.preprocessing.aipp import Aipp, parse_aipp
from seatrial.errors import UsageError
from seatrial.foreign.files import read_text
from seatrial.guides.network import FoundNetwork, read_network
from seatrial.guides.readme import Command, Readme, read_readme
from seatrial.guides.script import FoundStep, FoundSteps, read_steps

MOST_BYTES = 4 << 20
"""A larger file is no guide's text."""
_AIPP = re.compile(r"aipp.*\.(cfg|config|conf|aippconfig|txt)$", re.IGNORECASE)
_NOT_PREPROCESSING = re.compile(
    r"post|onnx|metric|eval|acc|info|optim|modify|parse|split|quant|amct|calib", re.IGNORECASE
)
_FULL_WIDTH: dict[str, str | int | None] = {"：": ":", "，": ",", "；": ";", "｛": "{", "｝": "}", "　": " "}
AIPP_FLOATS = ("mean_chn_0", "min_chn_0", "var_reci_chn_0")


@dataclass(frozen=True, slots=True)
class FoundAipp:
    """An AIPP file, as it would be read with its punctuation mended."""

    file: str
    config: Aipp
    lines: dict[str, int]
    """Of each field."""

    def line(self, *names: str) -> int:
        """The line of the first of these fields that is there."""
        return next((self.lines[name] for name in names if name in self.lines), 1)

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation on the scale 0..1."""
        mean, scale = self.config.normalisation
        less = tuple(float(f"{float(value) / 255:.7g}") for value in mean)
        return less, tuple(float(f"{1 / (255 * float(value)):.7g}") if value else 0.0 for value in scale)


@dataclass(slots=True)
class GuideFolder:
    """What a folder says."""

    name: str
    readme: Readme | None = None
    readme_text: str = ""
    aipp: FoundAipp | None = None
    network: FoundNetwork | None = None
    script: FoundSteps | None = None
    steps: list[FoundStep] = field(default_factory=list)
    """Of the script and the AIPP file together."""
    unclear: list[str] = field(default_factory=list)
    """What could not be read of the steps."""
    problems: list[tuple[str, str, str]] = field(default_factory=list)
    """Where, what stands there, what would be right: of files that cannot be read as they are."""
    files: tuple[str, ...] = ()


def read_guide(folder: Path) -> GuideFolder:
    """Read a guide's folder. Nothing of it is run.

    Raises:
        UsageError: there is no such folder, or it has neither a README nor a script.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", "give the folder of a guide, with its README and scripts")
    texts = {path.name: text for path in sorted(folder.iterdir()) if (text := _read_text(path)) is not None}
    guide = GuideFolder(folder.resolve().name, files=tuple(texts))
    readme = next((name for name in texts if name.lower().startswith("readme") and name.lower().endswith(".md")), None)
    scripts = {name: text for name, text in texts.items() if name.endswith(".py")}
    if readme is None and not scripts:
        raise UsageError(f"{folder} has neither a README.md nor a script", "give the folder of a guide")
    if readme is not None:
        guide.readme_text = texts[readme]
        guide.readme = read_readme(guide.readme_text, readme)
    _read_aipp(guide, texts)
    guide.network = _choose_network(guide, scripts)
    guide.script = _choose_script(guide, scripts)
    _join_steps(guide)
    return guide


def _read_text(path: Path) -> str | None:
    """A file's text; None where it is no text of a guide, or a link out of it."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST_BYTES:
            return None
        return read_text(path, errors="replace").replace("\r\n", "\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})", "give a folder whose files can be read") from None


def _read_aipp(guide: GuideFolder, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        if not _AIPP.search(name) or "aipp_op" not in text:
            continue
        wide = [
            (number, line.strip())
            for number, line in enumerate(text.splitlines(), 1)
            if set(line.partition("#")[0]) & set(_FULL_WIDTH)
        ]
        for number, line in wide:
            mended = line.translate(str.maketrans(_FULL_WIDTH))
            guide.problems.append((f"{name} line {number}, full-width punctuation", line, mended))
        try:
            config = parse_aipp(text.translate(str.maketrans(_FULL_WIDTH)), name)
        except UsageError as error:
            guide.problems.append((name, "an AIPP file", str(error)))
            continue
        fields = {
            match[1]: number
            for number, line in enumerate(text.splitlines(), 1)
            if (match := re.match(r"\s*(\w+)\s*[:：]", line))
        }
        if guide.aipp is None:
            guide.aipp = FoundAipp(name, config, fields)


def _find_commands(guide: GuideFolder, name: str) -> list[Command]:
    return [command for command in (guide.readme.commands if guide.readme else ()) if command.script == name]


def _choose_network(guide: GuideFolder, scripts: dict[str, str]) -> FoundNetwork | None:
    """What the export script says, the one that the README runs first."""
    found: list[FoundNetwork] = []
    for name, text in scripts.items():
        if "onnx" not in text and "onnx" not in name:
            continue
        command = next(iter(_find_commands(guide, name)), None)
        network = read_network(text, name, command.words if command else (), command.line if command else 0)
        if network is not None:
            found.append(network)
    # The one that exports says more than one that only builds.
    found.sort(key=lambda each: (each.input is None, not each.kind, not _find_commands(guide, each.file)))
    return found[0] if found else None


def _choose_script(guide: GuideFolder, scripts: dict[str, str]) -> FoundSteps | None:
    """The steps of the preprocessing script: of those that the README runs, else of those that are named so."""
    ran = [name for name in scripts if _find_commands(guide, name)]
    named = [
        name
        for name in scripts
        if re.search("preproc|process", name, re.IGNORECASE) and not _NOT_PREPROCESSING.search(name)
    ]
    rest = [name for name in ran if not _NOT_PREPROCESSING.search(name) or re.search(r"om_val|transfer\.py", name)]
    best: FoundSteps | None = None
    for name in dict.fromkeys([*(n for n in named if n in ran), *named, *rest]):
        for words, line in [(each.words, each.line) for each in _find_commands(guide, name)] or [((), 0)]:
            found = read_steps(scripts[name], name, words, line)
            if found is not None and (best is None or _rank(found) > _rank(best)):
                best = found
    return best


def _rank(found: FoundSteps) -> tuple[bool, bool]:
    """The first that could be read is the one: later commands prepare other images, such as those for calibration."""
    return not found.unclear, bool(found.steps)


def _join_steps(guide: GuideFolder) -> None:
    """The script's steps, and those that the AIPP file adds where the script writes pixels."""
    script, aipp = guide.script, guide.aipp
    if script is None:
        guide.unclear.append("preprocessing: no script whose steps could be read")
        return
    guide.steps, guide.unclear = list(script.steps), list(script.unclear)
    if script.floats:
        return
    if aipp is not None:
        _add_aipp(guide, aipp)
    elif script.unclear:
        return
    elif _writes_raw(guide):
        where = (script.file, script.steps[-1].line if script.steps else 1)
        raw = [1 / 255] * 3
        guide.steps += [
            FoundStep("to_float", {}, *where),
            FoundStep("normalise", {"mean": [0.0] * 3, "std": raw}, *where),
        ]
    else:
        guide.unclear.append(f"{script.file}: no normalisation, and no AIPP file has one")


def _writes_raw(guide: GuideFolder) -> bool:
    """Whether the guide compiles its graph and puts nothing in front of it."""
    return "atc " in guide.readme_text and not inserts_aipp(guide.readme_text)


def inserts_aipp(text: str) -> bool:
    """Whether a command of a README puts AIPP in front of the graph; a list that explains options does not."""
    lines = [line.strip() for line in text.splitlines() if "insert_op_conf=" in line]
    return any(not re.match(r"[-*+]\s+|\d+\.", line) for line in lines)


def _add_aipp(guide: GuideFolder, aipp: FoundAipp) -> None:
    config = aipp.config
    if config.crop:
        size = (config.crop_size_h, config.crop_size_w)
        line = aipp.line("crop_size_h", "crop_size_w", "crop")
        middle = all(
            not source or abs(2 * start + cut - source) <= 1
            for source, start, cut in (
                (config.src_image_size_h, config.load_start_pos_h, size[0]),
                (config.src_image_size_w, config.load_start_pos_w, size[1]),
            )
        )
        if 0 in size or not middle:
            guide.unclear.append(f"{aipp.file} line {line}: a crop that is not out of the middle")
        else:
            guide.steps.append(FoundStep("center_crop", {"size": size, "offset": "half_even"}, aipp.file, line))
    swapped = config.rbuv_swap_switch and config.input_format == "RGB888_U8"
    if swapped:
        given = [step for step in guide.steps if step.step == "channels"]
        guide.steps = [step for step in guide.steps if step.step != "channels"]
        if not given:
            guide.steps.append(FoundStep("channels", {"order": "BGR"}, aipp.file, aipp.line("rbuv_swap_switch")))
    mean, std = aipp.normalisation
    line = aipp.line(*AIPP_FLOATS)
    guide.steps.append(FoundStep("to_float", {}, aipp.file, line))
    spread = aipp.lines.get("var_reci_chn_0")
    guide.steps.append(FoundStep("normalise", {"mean": list(mean), "std": list(std)}, aipp.file, line, spread))


def list_sizes(steps: Sequence[FoundStep]) -> Iterator[tuple[tuple[int, int], str]]:
    """Sizes that steps leave, with file and line, in their order."""
    for step in steps:
        size = step.options.get("size")
        if size is not None and len(size) == 2:
            yield (int(size[0]), int(size[1])), f"{step.file} line {step.line}"
