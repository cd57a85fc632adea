"""Whether images that were preprocessed before are what an engine takes, and how to get such."""

from collections.abc import Sequence

from seatrial.data.images import LabelledImage, PreparedInput
from seatrial.data.preprocessing.input_pipeline import InputPipeline
from seatrial.data.preprocessing.steps import hash_steps
from seatrial.errors import DataError
from seatrial.recipes import list_cards


def describe_input(pipeline: InputPipeline, dtype: str) -> PreparedInput:
    """One image as an engine with this preprocessing takes it.

    Args:
        dtype: of the engine's input; uint8 has the rest of the preprocessing in the graph.
    """
    if dtype == "uint8":
        return PreparedInput("uint8", pipeline.shape, pipeline.pixels_hash)
    recipe = pipeline.recipe
    return PreparedInput.floats(recipe.input_size, hash_steps(recipe.preprocess), recipe.channels)


def check_prepared(images: Sequence[LabelledImage], pipeline: InputPipeline, dtype: str) -> PreparedInput:
    """Refuse images that were prepared for another engine than one with this preprocessing and type of input.

    Pixels fit an engine that takes floats as well, after `pipeline.finish`. Where the preprocessing is not known,
    type and shape decide.

    Returns:
        What `data.loading.batches.fill_row` fills a row with: the engine's float32, or uint8 (*pipeline.shape).

    Raises:
        DataError: says what they are, what the engine takes, and how to get that.
    """
    pixels, takes = describe_input(pipeline, "uint8"), describe_input(pipeline, dtype)
    forms = {image.prepared: image for image in reversed(images)}
    if len(forms) > 1:
        described = "; ".join(f"{image} {describe_form(form)}" for form, image in list(forms.items())[:3])
        raise DataError(f"the images come in {len(forms)} forms: {described}", "give images of one form")
    form = next(iter(forms), None)
    if form is None:
        return pixels
    if form.fits(pixels) or form.fits(takes):
        return form
    raise DataError(
        f"{len(images)} images, first {images[0]}, are {describe_form(form)}; the engine takes {describe_form(takes)}",
        _suggest(form, pipeline, dtype),
    )


def describe_form(form: PreparedInput | None) -> str:
    """What the bytes of an image are, in words."""
    if form is None:
        return "files still to be decoded"
    return f"{form} (preprocessing {'not known' if form.preprocess_hash is None else form.preprocess_hash[:8]})"


def _suggest(form: PreparedInput, pipeline: InputPipeline, dtype: str) -> str:
    card = pipeline.recipe.name if pipeline.recipe.name in list_cards() else "CARD.toml"
    if dtype != "uint8" and form.dtype == "float32":
        return f"`seatrial preprocess {card} IMAGES BINS` writes what it takes"
    aipp = "" if pipeline.aipp is None else " --aipp FILE"
    packed = f"`seatrial data pack {card} IMAGES --output FILE.pack{aipp}` makes pixels that it takes"
    if form.fits(describe_input(pipeline, "float32")):
        return f"`seatrial export --no-fuse-preprocess` makes a graph that takes these floats, {packed}"
    return packed
