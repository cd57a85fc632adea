"""Where a guide says one thing in one place and another in another."""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from seatrial.guides.folder import GuideFolder, inserts_aipp, list_sizes
from seatrial.recipes.claims import Claim
from seatrial.recipes.guide_text import check_guide_text

NEAR = 0.003
"""Means and standard deviations that differ by less, relative, are the same, printed with fewer digits."""
_ALIKE = 0.75


def check_guide(guide: GuideFolder) -> tuple[Claim, ...]:
    """The claims of a guide's README, right ones and wrong ones, then what contradicts what in its files."""
    claims = list(check_guide_text(guide.readme.file, guide.readme_text)) if guide.readme else []
    found = [(where, stated, right) for where, stated, right in guide.problems]
    for check in (_check_sizes, _check_crop, _check_normalisation, _check_names, _check_scripts):
        found += check(guide)
    return (*claims, *(Claim(guide.name, what, stated, right, "text", holds=False) for what, stated, right in found))


def _show(size: Sequence[int]) -> str:
    return " × ".join(map(str, size))


def _check_sizes(guide: GuideFolder) -> Iterator[tuple[str, str, str]]:
    """What the preprocessing writes against what the AIPP file takes and what the graph takes."""
    script = [] if guide.script is None or guide.script.unclear else list(list_sizes(guide.script.steps))
    aipp = guide.aipp
    source = (aipp.config.src_image_size_h, aipp.config.src_image_size_w) if aipp else (0, 0)
    pixels = guide.script is not None and not guide.script.floats
    if script and aipp and pixels and all(source) and script[-1][0] != source:
        where = f"{aipp.file} line {aipp.line('src_image_size_h', 'src_image_size_w')}"
        yield f"{where}, the size that it takes", _show(source), f"{_show(script[-1][0])} in {script[-1][1]}"
    network = guide.network.size if guide.network else None
    read = guide.readme.input_shape if guide.readme else None
    graph = tuple(map(int, network.value.split(",")[1:])) if network else ()
    atc = tuple(map(int, read.value.split(",")[1:])) if read else ()
    if network and read and guide.network and guide.readme and graph != atc and network.value.count(",") == 2:
        place = f"{guide.readme.file} line {read.line}, the graph's input"
        yield place, _show(atc), f"{_show(graph)} in {guide.network.file} line {network.line}"
    joined = list(list_sizes(guide.steps))
    last = next((step for step in reversed(guide.steps) if step.step in ("resize", "center_crop")), None)
    fixed = last is not None and "size" in last.options
    if joined and fixed and graph and guide.network and network and not guide.unclear and joined[-1][0] != graph:
        place = f"{joined[-1][1]}, the size of what is prepared"
        yield place, _show(joined[-1][0]), f"{_show(graph)} in {guide.network.file} line {network.line}"


def _check_crop(guide: GuideFolder) -> Iterator[tuple[str, str, str]]:
    """Crops that are larger than what the resize before them leaves."""
    for before, crop in zip(guide.steps, guide.steps[1:], strict=False):
        if before.step != "resize" or crop.step != "center_crop" or crop.options.get("size") is None:
            continue
        side = before.options.get("short_side")
        least = (side, side) if side else before.options.get("size")
        if least and any(cut > left for cut, left in zip(crop.options["size"], least, strict=True)):
            yield f"{crop.file} line {crop.line}, the crop", _show(crop.options["size"]), f"at most {_show(least)}"


def _check_normalisation(guide: GuideFolder) -> Iterator[tuple[str, str, str]]:
    """The mean and standard deviation of the script against those of the AIPP file, where both normalise."""
    if guide.aipp is None:
        return
    mean, std = guide.aipp.normalisation
    where = guide.aipp.line("min_chn_0", "mean_chn_0", "var_reci_chn_0")
    script = guide.script
    if script is not None and script.mean and any(mean) and inserts_aipp(guide.readme_text):
        yield f"{guide.aipp.file} line {where}", "normalises", f"{script.file} has done so already"
    if script is None or not script.mean or not any(mean):
        return
    for name, one, other in (("mean", script.mean, mean), ("std", script.std, std)):
        if len(one) == len(other) and not _is_near(one, other):
            order = " (in reverse order)" if _is_near(one, other[::-1]) else ""
            yield f"{guide.aipp.file} line {where}, the {name}{order}", _join(other), f"{_join(one)} in {script.file}"


def _is_near(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(abs(a - b) <= NEAR * max(abs(a), abs(b)) for a, b in zip(one, other, strict=True))


def _join(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.5g}" for value in values)


def compare_library(guide: GuideFolder, reference: str, mean: Sequence[float], std: Sequence[float]) -> Iterator[Claim]:
    """The guide's normalisation against that of the library that it has its network from."""
    step = next((step for step in guide.steps if step.step == "normalise"), None)
    if step is None:
        return
    for name, values in (("mean", mean), ("std", std)):
        own = step.options[name]
        if len(own) == len(values) and not _is_near(own, values):
            what = f"{step.file} line {step.line}, the {name}"
            yield Claim(guide.name, what, _join(own), f"{_join(values)} for {reference}", "text", holds=False)


def _check_names(guide: GuideFolder) -> Iterator[tuple[str, str, str]]:
    """The input's name in the export script against that of the commands."""
    network, readme = guide.network, guide.readme
    if network is None or readme is None:
        return
    for what, own, printed in (
        ("the input's name", network.input, readme.input_name),
        ("the output's name", network.output, readme.output_name),
    ):
        if own and printed and own.value != printed.value:
            yield (
                f"{readme.file} line {printed.line}, {what}",
                printed.value,
                f"{own.value} in {network.file} line {own.line}",
            )
    if network.classes and readme.classes and network.classes.value != readme.classes.value:
        where = f"{readme.file} line {readme.classes.line}, the number of classes"
        yield where, readme.classes.value, f"{network.classes.value} in {network.file} line {network.classes.line}"


def _check_scripts(guide: GuideFolder) -> Iterator[tuple[str, str, str]]:
    """Scripts that the README runs by another name than the folder has."""
    if guide.readme is None:
        return
    ran = {PurePosixPath(command.script).name for command in guide.readme.commands}
    here = [name for name in guide.files if name.endswith(".py") and name not in ran]
    for command in guide.readme.commands:
        if command.script in guide.files:
            continue
        close = difflib.get_close_matches(command.script, here, n=1, cutoff=_ALIKE)
        if close:
            yield (
                f"{guide.readme.file} line {command.line}, the script",
                command.script,
                f"{close[0]}, which the folder has",
            )
