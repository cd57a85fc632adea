"""What the page's processes make of an image is what the evaluation and the preprocessing make of it."""

import base64
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seatrial.data.preprocessing.aipp import load_aipp
from seatrial.data.preprocessing.input_pipeline import make_pipeline, read_pipeline
from seatrial.engines.base import read_engine
from seatrial.errors import DataError, RefusedFile
from seatrial.recipes import load_recipe
from seatrial.recipes.steps import pixel_steps
from seatrial.store.predictions import Predictions
from seatrial.ui.pictures_process import SHOWN_PIXELS, draw_pictures
from seatrial.ui.predict_process import ImageJob, Predictor
from tiny_trial import CLASSES, TinyTrial

NAME = "image_003.JPEG"


@pytest.fixture(scope="module")
def job(tiny_trial: TinyTrial) -> ImageJob:
    return ImageJob.of((tiny_trial.images / NAME).read_bytes(), NAME)


@pytest.mark.parametrize("engine", ["torch", "onnxruntime", "openvino"])
def test_the_classes_are_those_of_the_evaluation(tiny_run: Path, job: ImageJob, engine: str) -> None:
    predictor = Predictor(tiny_run / "engines" / engine)
    first, second = predictor.predict(job), predictor.predict(job)
    stored = Predictions.load(tiny_run / "evaluation" / f"{engine}.parquet")
    row = stored.ids.index(NAME)
    assert [each.number for each in first.best] == stored.classes[row].tolist()
    # All four classes are among the five best, so that the confidences add up.
    scores = np.exp(stored.scores[row] - stored.scores[row].max())
    np.testing.assert_allclose([each.share for each in first.best], scores / scores.sum(), rtol=1e-4)
    assert len(first.best) == CLASSES and first.best == second.best
    assert first.batch_size == 1 and first.runs >= 1 and min(first.run_ms, first.prepare_ms) > 0
    assert first.opened_s is not None and second.opened_s is None


def test_a_file_that_is_no_image_is_an_error_and_the_engine_stays_open(tiny_run: Path, job: ImageJob) -> None:
    predictor = Predictor(tiny_run / "engines" / "onnxruntime")
    with pytest.raises(DataError, match=r"x\.svg is no image \(it holds a web page or XML\)"):
        predictor.predict(ImageJob.of(b"<svg onload='alert(1)'/>", "x.svg"))
    assert predictor.predict(job).best


def test_an_engine_that_was_altered_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "onnxruntime"
    shutil.copytree(tiny_run / "engines" / "onnxruntime", folder)
    path = folder / read_engine(folder).manifest.files[0].path
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(RefusedFile, match="altered or cut off"):
        Predictor(folder)


def read_picture(png: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))


def test_each_step_is_a_picture_and_the_last_one_is_what_the_network_gets(tiny_run: Path, job: ImageJob) -> None:
    pipeline = read_pipeline(read_engine(tiny_run / "engines" / "onnxruntime").manifest.graph)
    drawn = draw_pictures(pipeline, job)
    steps = pixel_steps(pipeline.steps)
    assert [picture.words for picture in drawn.pictures] == ["decoded, RGB", *(step.describe() for step in steps)]
    pixels = pipeline.decode(job.data, job.name)
    np.testing.assert_array_equal(read_picture(drawn.pictures[-1].png), pixels)
    assert [(picture.height, picture.width) for picture in drawn.pictures][-1] == pixels.shape[:2]
    values = pipeline.finish(pixels[None])
    assert (drawn.low, drawn.high) == (float(values.min()), float(values.max()))
    assert drawn.then[0] == "divide by 255" and len(drawn.then) == 2


def test_large_images_are_shown_smaller(tiny_run: Path) -> None:
    stream = io.BytesIO()
    Image.new("L", (3000, 20), 7).save(stream, "PNG")
    pipeline = read_pipeline(read_engine(tiny_run / "engines" / "onnxruntime").manifest.graph)
    first = draw_pictures(pipeline, ImageJob.of(stream.getvalue(), "wide.png")).pictures[0]
    assert (first.width, first.height) == (3000, 20)
    assert read_picture(first.png).shape == (3, SHOWN_PIXELS, 3)
    assert (read_picture(first.png) == 7).all()


@pytest.mark.parametrize("config", ["aipp_resnet50.aippconfig", "aipp_resnext50_pth.config"])
def test_what_aipp_is_given_is_drawn_too(job: ImageJob, config: str) -> None:
    aipp = load_aipp(Path(__file__).parents[2] / "golden" / "aipp" / config)
    pipeline = make_pipeline(load_recipe("resnet50"), aipp)
    drawn = draw_pictures(pipeline, job)
    rows, columns, _ = pipeline.shape
    rows = rows * 2 // 3 if pipeline.is_yuv else rows
    assert (drawn.pictures[-1].height, drawn.pictures[-1].width) == (rows, columns)
    assert len(drawn.pictures) == 1 + len(pixel_steps(pipeline.steps)) and "AIPP" in drawn.then[0]
    values = pipeline.finish(pipeline.decode(job.data, job.name)[None])
    assert (drawn.low, drawn.high) == (float(values.min()), float(values.max()))
