"""Which network a command of a guide is about: the recipe, and the reason for it."""

from collections.abc import Iterator
from pathlib import Path

from seatrial.cli.compat.call import Call
from seatrial.errors import SeatrialError, UsageError

FOLDERS = {
    "Sknet50": "sk_resnet50",
    "spnasnet_100": "spnasnet_100",
    "SPNASNet_100_for_PyTorch": "spnasnet_100",
    "ResNet50_for_PyTorch": "resnet50",
    "Resnet50_Pytorch_Infer": "resnet50",
    "Se-Resnext101": "seresnext101_32x4d",
    "ResNeXt50": "resnext50_32x4d",
    "ResNeXt50_for_Pytorch": "resnext50_32x4d",
}
"""The folders of the guides in Ascend's ModelZoo-PyTorch, in any case."""
INNER = ("test", "scripts")
"""Folders of a guide's folder that commands are run in."""


def find_recipe(call: Call, notes: bool = True, checkpoint: Path | None = None) -> tuple[str, str]:
    """The model reference of a command's network, and what it was concluded from.

    In this order: `--recipe`, the name of the script, the folder's name, the one network that the checkpoint fits, what
    earlier commands left in the folder.

    Args:
        notes: what they left counts; not where another network's would do as well without a word.
        checkpoint: what the command reads.

    Raises:
        UsageError: nothing says it, and lists the choices; or there is no such checkpoint.
        RefusedFile: the checkpoint cannot be read.
    """
    if call.recipe is not None:
        return call.recipe, "--recipe"
    if call.tool.recipe is not None:
        return call.tool.recipe, f"the name {call.name}"
    for folder in _list_folders(call):
        known = {name.lower(): recipe for name, recipe in FOLDERS.items()}
        if folder.name.lower() in known:
            return known[folder.name.lower()], f"the name of the folder {folder.name}"
    if checkpoint is not None:
        from seatrial.models.recognise_file import list_fitting_cards

        fitting = list_fitting_cards(checkpoint)
        if len(fitting) == 1:
            return fitting[0], f"the weights in {checkpoint}, which fit no other card's network"
    noted = dict(_read_notes(Path())) if notes else {}
    if len(noted) == 1:
        ((recipe, file),) = noted.items()
        return recipe, str(file)
    from seatrial.recipes import list_cards

    found = f" ({', '.join(noted)} are noted in this folder)" if noted else ""
    raise UsageError(
        f"{call.name} does not say of which network it is{found}",
        f"write `seatrial compat --recipe REF {call.name} …`: {', '.join(list_cards())}, or another model reference",
    )


def _list_folders(call: Call) -> Iterator[Path]:
    for folder in (call.folder.resolve(), Path.cwd()):
        yield folder
        if folder.name in INNER:
            yield folder.parent


def _read_notes(folder: Path) -> Iterator[tuple[str, Path]]:
    """The recipes that the manifests of bins and graphs in a folder name, and one manifest of each."""
    from seatrial.data.bins.write import MANIFEST, BinManifest
    from seatrial.recipes import list_cards
    from seatrial.store.records import GraphManifest

    for path in sorted(folder.glob(f"*/{MANIFEST}")):
        try:
            recipe = BinManifest.load(path).recipe
        except SeatrialError:
            continue
        if recipe:
            yield recipe, path
    for path in sorted(folder.glob("*.onnx.json")):
        try:
            name = GraphManifest.load(path).recipe.get("name")
        except SeatrialError:
            continue
        if name in list_cards():
            yield str(name), path
