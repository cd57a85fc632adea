"""A guide's folder as the draft of a card: each value with the file and line it stands in, and what was not found."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seatrial.errors import SeatrialError, UsageError
from seatrial.guides.contradictions import check_guide, compare_library
from seatrial.guides.folder import GuideFolder, read_guide
from seatrial.guides.network import FoundNetwork
from seatrial.guides.script import FoundStep
from seatrial.models.sources import resolve_card
from seatrial.models.sources.card import Draft
from seatrial.recipes.claims import Claim
from seatrial.recipes.schema import Recipe

PIXEL_STEPS = ("resize", "center_crop", "pad", "channels")


@dataclass(frozen=True, slots=True)
class DraftedCard:
    """What came of a folder."""

    text: str
    """The card as TOML."""
    reference: str | None
    """The library's model reference that its network is, `timm:…` or `torchvision:…`."""
    proposed: str | None
    """`FILE.py:CALLABLE` of its own repository."""
    complete: bool
    """Every step of the preprocessing was read, and together they are one that a card takes."""
    missing: tuple[str, ...]
    claims: tuple[Claim, ...]
    """What its files contradict each other in, and the figures of its README that are wrong."""
    guide: GuideFolder

    @property
    def contradictions(self) -> tuple[Claim, ...]:
        """Those that do not hold."""
        return tuple(claim for claim in self.claims if not claim.holds)


def draft_card(folder: Path) -> DraftedCard:
    """Read a folder and draft a card; nothing of it is run or imported.

    Raises:
        UsageError: there is no such folder, or it is no guide's.
    """
    guide = read_guide(folder)
    draft = Draft(str(folder))
    missing: list[str] = []
    reference, library = find_reference(guide.network)
    _put_head(draft, guide, folder)
    proposed = _put_network(draft, guide, missing, reference)
    _put_weights(draft, guide, missing)
    _put_graph(draft, guide, missing)
    complete = _put_steps(draft, guide, missing)
    _put_published(draft, guide, missing)
    claims = check_guide(guide)
    if library is not None and reference is not None:
        claims = (*claims, *compare_library(guide, reference, *library.normalisation))
    if complete and "classes" in draft.values.get("network", {}):
        try:
            draft.read()
        except UsageError as error:
            complete = False
            missing.append(f"a card that can be run: {error.problem}")
    wrong = [claim for claim in claims if not claim.holds]
    text = "\n".join([*_write_head(folder, missing, wrong), *draft.write().splitlines()[1:], ""])
    return DraftedCard(text, reference, proposed, complete, tuple(missing), claims, guide)


def check_folder(folder: Path) -> tuple[Claim, ...]:
    """The claims of a guide's folder, right ones and wrong ones."""
    return draft_card(folder).claims


def find_reference(network: FoundNetwork | None) -> tuple[str | None, Recipe | None]:
    """The library's reference that a network is, and what the library says of it."""
    if network is None or not network.name or not network.kind:
        return None, None
    kind = "timm" if network.kind == "python" else network.kind
    try:
        recipe = resolve_card(f"{kind}:{network.name}").recipe
    except SeatrialError:
        return None, None
    if network.kind == "python":
        network.kind = "timm"
        network.note = f"the script has it from {network.package or 'a file'}: timm's of the same name"
    return f"{kind}:{network.name}", recipe


def _put_head(draft: Draft, guide: GuideFolder, folder: Path) -> None:
    readme = guide.readme
    source = next((url for url in readme.urls if "url=" in _line(guide, url.line)), None) if readme else None
    draft.put_head(guide.name, readme.title if readme and readme.title else guide.name, str(folder))
    if source is not None and readme is not None:
        draft.put("source", source.value, f"{readme.file} line {source.line}")


def _line(guide: GuideFolder, number: int) -> str:
    return guide.readme_text.splitlines()[number - 1].replace(" ", "")


def _put_network(draft: Draft, guide: GuideFolder, missing: list[str], reference: str | None) -> str | None:
    """The network's library and name, or the file and callable that its script builds it by."""
    network = guide.network
    if network is None or not network.kind or not network.name:
        missing.append("network: no script says what it builds")
        return None
    where = f"{network.file} line {network.line}"
    proposed = None
    if reference is not None:
        builder, _, name = reference.partition(":")
    else:
        builder, name = "python", _propose(network)
        proposed = name
        where += "; proposed, of its own repository, which is not looked at"
    draft.put("network.builder", builder)
    draft.put("network.name", name, where + (f"; {network.note}" if network.note else ""))
    readme = guide.readme
    if network.classes:
        draft.put("network.classes", int(network.classes.value), f"{network.file} line {network.classes.line}")
    elif readme and readme.classes:
        draft.put("network.classes", int(readme.classes.value), f"{readme.file} line {readme.classes.line}")
    elif reference is not None:
        classes = resolve_card(reference).recipe.network.classes
        draft.put("network.classes", classes, f"of {reference}: the script asks for no other number")
    else:
        missing.append("network.classes: no script or table says how many")
    if reference is not None and network.arguments:
        draft.put("network.arguments", dict(network.arguments), where)
    return proposed


def _propose(network: FoundNetwork) -> str:
    if not network.package or network.package in ("timm", "torchvision"):
        return f"{network.file}:{network.name}"
    return f"{network.package.replace('.', '/')}.py:{network.name}"


def _put_weights(draft: Draft, guide: GuideFolder, missing: list[str]) -> None:
    readme = guide.readme
    if readme is None or readme.weights is None:
        missing.append("weights.file: the README names no checkpoint")
        return
    draft.put("weights.file", readme.weights.value, f"{readme.file} line {readme.weights.line}")
    url = next((url for url in readme.urls if url.value.endswith(readme.weights.value)), None)
    if url is not None:
        draft.put("weights.url", url.value, f"{readme.file} line {url.line}")
    if readme.md5 is not None:
        draft.put("weights.md5", readme.md5.value.lower(), f"{readme.file} line {readme.md5.line}")
    else:
        missing.append("weights.md5: the README states none")


def _put_graph(draft: Draft, guide: GuideFolder, missing: list[str]) -> None:
    network, readme = guide.network, guide.readme
    for key, own, printed in (
        ("input", network and network.input, readme and readme.input_name),
        ("output", network and network.output, readme and readme.output_name),
        ("opset", network and network.opset, None),
    ):
        if own and network:
            draft.put(
                f"graph.{key}", int(own.value) if key == "opset" else own.value, f"{network.file} line {own.line}"
            )
        elif printed and readme:
            draft.put(f"graph.{key}", printed.value, f"{readme.file} line {printed.line}")
        else:
            missing.append(f"graph.{key}: no script says it")


def _put_steps(draft: Draft, guide: GuideFolder, missing: list[str]) -> bool:
    """The preprocessing; whether it is whole."""
    unclear = list(guide.unclear)
    for step in _order(guide):
        options = {key: list(value) if isinstance(value, tuple) else value for key, value in step.options.items()}
        draft.add_step(step.step, step.place, **options)
    names = [step.step for step in guide.steps]
    if "to_float" not in names and not unclear:
        unclear.append("to_float: nothing divides by 255")
    if not unclear:
        try:
            Recipe.read({**_FILLED, "preprocess": draft.values.get("preprocess", [])}, guide.name)
        except UsageError as error:
            unclear.append(error.problem)
    missing += [f"preprocess: {each}" for each in unclear]
    return not unclear


_FILLED = {"name": "draft", "title": "draft", "network": {"name": "resnet18", "classes": 2}}
"""What a card needs besides the steps that are looked at."""


def _order(guide: GuideFolder) -> Iterator[FoundStep]:
    """Steps as a card has them: on pixels first."""
    yield from (step for step in guide.steps if step.step in PIXEL_STEPS)
    yield from (step for step in guide.steps if step.step not in PIXEL_STEPS)


def _put_published(draft: Draft, guide: GuideFolder, missing: list[str]) -> None:
    readme = guide.readme
    if readme is None or not readme.columns:
        missing.append("published: the README has no table of speed by batch size")
        return
    names: list[str] = []
    rows = []
    for column in readme.columns:
        name = column.device if column.device not in names else f"{column.device} (line {column.line})"
        names.append(name)
        source = f"{readme.file} line {column.line}"
        rows.append({"device": column.device, "name": name, "images_per_s": column.images_per_s, "source": source})
    draft.put("published", rows)


def _write_head(folder: Path, missing: list[str], wrong: list[Claim]) -> Iterator[str]:
    yield f"# Drafted from the guide in {folder.name}: its files were read as text, and nothing of them was run."
    for each in missing:
        yield f"# not found: {_flatten(each)}"
    for claim in wrong:
        yield f"# contradiction: {_flatten(f'{claim.what}: {claim.stated}; right: {claim.correct}')}"


def _flatten(text: str) -> str:
    return " ".join(text.split())
