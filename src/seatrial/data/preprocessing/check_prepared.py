"""Whether images that were preprocessed before are what an engine takes, and how to get such."""

from collections.abc import Sequence

from seatrial.data.images import LabelledImage, Prepared
from seatrial.data.preprocessing.input_pipeline import Feed
from seatrial.data.preprocessing.steps import hash_steps
from seatrial.errors import DataError
from seatrial.recipes import list_cards


def describe_input(feed: Feed, dtype: str) -> Prepared:
    """One image as an engine with this preprocessing takes it.

    Args:
        dtype: of the engine's input; uint8 has the rest of the preprocessing in the graph.
    """
    if dtype == "uint8":
        return Prepared("uint8", feed.shape, feed.pixels_hash)
    return Prepared("float32", (3, *feed.recipe.input_size), hash_steps(feed.recipe.preprocess))


def check_prepared(images: Sequence[LabelledImage], feed: Feed, dtype: str) -> Prepared:
    """Refuse images that were prepared for another engine than one with this preprocessing and type of input.

    Pixels fit an engine that takes floats as well, after `feed.finish`. Where nothing tells how images were made,
    type and shape decide.

    Returns:
        What `data.loading.batches.fill_row` fills a row with: float32 as the engine takes it, or uint8 (*feed.shape).

    Raises:
        DataError: says what they are, what the engine takes, and how to get that.
    """
    pixels, takes = describe_input(feed, "uint8"), describe_input(feed, dtype)
    forms = {image.prepared: image for image in reversed(images)}
    if len(forms) > 1:
        described = "; ".join(f"{image} {_describe(form)}" for form, image in list(forms.items())[:3])
        raise DataError(f"the images come in {len(forms)} forms: {described}", "give images of one form")
    form = next(iter(forms), None)
    if form is None:
        return pixels
    if form.fits(pixels) or form.fits(takes):
        return form
    raise DataError(
        f"{len(images)} images, first {images[0]}, hold {_describe(form)}; the engine takes {_describe(takes)}",
        _suggest(form, feed, dtype),
    )


def _describe(form: Prepared | None) -> str:
    if form is None:
        return "files still to be decoded"
    known = "not known" if form.preprocess_hash is None else form.preprocess_hash[:8]
    return f"{form.dtype} {'×'.join(map(str, form.shape))} (preprocessing {known})"


def _suggest(form: Prepared, feed: Feed, dtype: str) -> str:
    card = feed.recipe.name if feed.recipe.name in list_cards() else "CARD.toml"
    if dtype != "uint8" and form.dtype == "float32":
        return f"`seatrial preprocess {card} IMAGES BINS` writes what it takes"
    aipp = "" if feed.aipp is None else " --aipp FILE"
    packed = f"`seatrial data pack {card} IMAGES --output FILE.pack{aipp}` makes pixels that it takes"
    if form.fits(describe_input(feed, "float32")):
        return f"`seatrial export --no-fuse-preprocess` makes a graph that takes these floats, {packed}"
    return packed
