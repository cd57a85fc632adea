"""Which bins an engine takes, and whether those of a folder are such."""

from pathlib import Path

from seatrial.data.bins.write import MANIFEST, BinForm, BinManifest
from seatrial.data.preprocessing.check_prepared import describe_form, describe_input
from seatrial.data.preprocessing.input_pipeline import InputPipeline
from seatrial.errors import DataError
from seatrial.recipes import list_cards
from seatrial.recipes.schema import Mode
from seatrial.recipes.steps import pixel_steps
from seatrial.store.records import TensorSpec


def find_form(pipeline: InputPipeline, spec: TensorSpec) -> BinForm | None:
    """The format of bins for an engine with this preprocessing and input; None where bins have no such format.

    A graph that normalises takes the pixels in front of that: of the card's steps, only those that resize and crop.
    """
    if spec.dtype == "float32":
        return BinForm(Mode(preprocess=pipeline.recipe.preprocess))
    if spec.dtype != "uint8" or pipeline.pixel_format is None:
        return None
    return BinForm(Mode(preprocess=pixel_steps(pipeline.steps)), pipeline.pixel_format)


def check_bins(folder: Path, pipeline: InputPipeline, spec: TensorSpec) -> bool:
    """Refuse a folder whose `bins.json` has another preprocessing than the engine's; False if there is none.

    Raises:
        DataError: says what both are, and how to get the right ones.
    """
    if not (folder / MANIFEST).exists():
        return False
    form, takes = BinManifest.load(folder / MANIFEST).form, describe_input(pipeline, spec.dtype)
    if spec.dtype != takes.dtype or not form.fits(takes):
        wanted = f"{spec.dtype} that bins do not have" if find_form(pipeline, spec) is None else describe_form(takes)
        raise DataError(
            f"{folder} has bins of another preprocessing, {describe_form(form)}, than the engine takes, {wanted}",
            suggest_bins(pipeline, spec),
        )
    return True


def suggest_bins(pipeline: InputPipeline, spec: TensorSpec) -> str:
    """How to get files that the engine takes, in words."""
    form, card = find_form(pipeline, spec), pipeline.recipe
    for name in (None, *card.modes):
        if form is not None and card.find_mode(name).preprocess == form.mode.preprocess:
            words = ["seatrial preprocess", card.name if card.name in list_cards() else "CARD.toml", "IMAGES BINS"]
            words += [f"--mode {name}"] if name else []
            words += [f"--format {form.pixels}"] if form.pixels != "rgb" else []
            return f"`{' '.join(words)}` writes what it takes"
    return f"no mode of {card.name} writes what it takes: give the folder of images themselves to --input"
