"""The process that shows what preprocessing makes of an image: `python -m seatrial.ui.pictures_process ENGINE_FOLDER`.

It takes `ImageJob`s and returns `Pictures` for each: see `machine.warm_process`. No engine is opened.
"""

import base64
import io
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from seatrial.data.preprocessing.decode import decode_image, read_orientation
from seatrial.data.preprocessing.input_pipeline import InputPipeline, read_pipeline
from seatrial.data.preprocessing.steps import to_pixels, trace_pixel_steps
from seatrial.data.preprocessing.yuv import decode_ycbcr
from seatrial.engines.base import MANIFEST
from seatrial.machine.warm_process import serve_jobs
from seatrial.recipes.steps import TensorStep
from seatrial.store.json_text import write_json
from seatrial.store.records import EngineManifest
from seatrial.strict import Strict
from seatrial.ui.predict_process import ImageJob

SHOWN_PIXELS = 512
"""Longest side of a picture; what is larger is shown smaller."""


class StepPicture(Strict):
    """An image after a step."""

    words: str
    """What was done."""
    width: int
    height: int
    png: str
    """In base64, of `SHOWN_PIXELS` at most."""


class Pictures(Strict):
    """An image on its way to the network."""

    pictures: tuple[StepPicture, ...]
    """As decoded, then after each step on pixels."""
    then: tuple[str, ...]
    """What follows, in words: it gives no picture."""
    low: float
    """Least of the values that the network takes."""
    high: float
    notes: tuple[str, ...]
    """What is odd about the file and does no harm."""


def draw_pictures(pipeline: InputPipeline, job: ImageJob) -> Pictures:
    """Every step as a picture.

    Raises:
        DataError: it is no image, a damaged one, or too large for a step.
    """
    notes: list[str] = []
    decode = decode_ycbcr if pipeline.is_yuv else decode_image
    image = decode(job.data, job.name, notes)
    turned = read_orientation(job.data)
    if turned != 1:
        notes.append(f"orientation {turned} in its EXIF, which is not applied, as in an evaluation and in training")
    pictures = [_draw("decoded, RGB" if image.mode == "RGB" else f"decoded, {image.mode}", image)]
    for step, made in trace_pixel_steps(image, pipeline.steps):
        pictures.append(_draw(step.describe(), made))
        image = made
    values = pipeline.finish(pipeline.pack(to_pixels(image))[None])
    return Pictures(
        pictures=tuple(pictures),
        then=tuple(_list_rest(pipeline)),
        low=float(values.min()),
        high=float(values.max()),
        notes=tuple(notes),
    )


def _list_rest(pipeline: InputPipeline) -> list[str]:
    """The steps that give no picture."""
    if pipeline.aipp is not None:
        return [f"AIPP in the graph: from {pipeline.aipp.input_format} to what the network takes"]
    return [step.describe() for step in pipeline.recipe.preprocess if isinstance(step, TensorStep)]


def _draw(words: str, image: Image.Image) -> StepPicture:
    size = image.size
    shown = image.convert("RGB") if image.mode == "YCbCr" else image
    if max(size) > SHOWN_PIXELS:
        scale = SHOWN_PIXELS / max(size)
        shown = shown.resize([max(1, round(side * scale)) for side in size], Image.Resampling.BOX)
    stream = io.BytesIO()
    shown.save(stream, "PNG", compress_level=1)
    png = base64.b64encode(stream.getvalue()).decode("ascii")
    return StepPicture(words=words, width=size[0], height=size[1], png=png)


def _handle(pipeline: InputPipeline, fields: Mapping[str, Any]) -> str:
    return write_json(draw_pictures(pipeline, ImageJob.read(fields, "the job")))


def _begin() -> Callable[[Mapping[str, Any]], str]:
    return partial(_handle, read_pipeline(EngineManifest.load(Path(sys.argv[1]) / MANIFEST).graph))


if __name__ == "__main__":
    sys.exit(serve_jobs(_begin))
