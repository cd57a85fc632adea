"""The pictures that an engine is known by again, and what it gave for them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fake_engine
from fake_engine import FakeSession, answer, make_graph
from sealed import edit_json
from seatrial.engines import ENGINES
from seatrial.engines.base import PRECISIONS, Built, CompileJob, EngineFile, read_engine
from seatrial.engines.compile_process import compile_here
from seatrial.engines.engine_folder import BuildSpec, build_engine
from seatrial.engines.self_test import check_self_test, decode_logits, draw_pictures, encode_logits, run_pictures
from seatrial.errors import RefusedFile
from seatrial.metrics.noise_floor import SAME_FLOORS, find_same_floor
from seatrial.store.files import hash_bytes


def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...] = ()) -> EngineFile:
    monkeypatch.setitem(ENGINES, "fake", "fake_engine:FakeEngine")
    spec = BuildSpec("fake", batch_sizes=sizes)
    return build_engine(make_graph(tmp_path), spec, tmp_path / "engine", compile=compile_here)


def test_the_pictures_are_the_same_for_ever() -> None:
    """Stored logits are of these: other pictures need another name for the field."""
    pictures, bytes_of_yuv = draw_pictures((224, 224, 3)), draw_pictures((48, 32, 1))
    assert (pictures.shape, pictures.dtype) == ((4, 224, 224, 3), np.uint8)
    assert hash_bytes(pictures.tobytes()).startswith("9ffe552281d18594102c50c390a1224c")
    assert hash_bytes(bytes_of_yuv.tobytes()).startswith("cb218c5c46b4f01b0250d1cf8325348d")


@pytest.mark.parametrize("shape", [(1, 1, 3), (4, 6, 3), (33, 32, 4), (48, 32, 1)])
def test_they_differ_and_fill_any_image(shape: tuple[int, ...]) -> None:
    pictures = draw_pictures(shape)
    assert pictures.shape == (4, *shape)
    if shape != (1, 1, 3):
        assert len({picture.tobytes() for picture in pictures}) == 4
        assert all(picture.std() > 10 for picture in pictures)


def test_logits_are_kept_to_the_bit() -> None:
    logits = np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32)
    logits[1, 2] = np.nan
    np.testing.assert_array_equal(decode_logits(encode_logits(logits)), logits)
    for spoiled in ("no base64!", "AAAA", encode_logits(logits)[:-8]):
        with pytest.raises(RefusedFile, match=r"the logits in engine\.json are damaged"):
            decode_logits(spoiled)


@pytest.mark.parametrize("sizes", [(), (1, 3), (8,)])
def test_every_file_of_a_folder_keeps_its_own(
    sizes: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = build(tmp_path, monkeypatch, sizes)
    assert read_engine(file.folder) == file
    for model in file.manifest.files:
        assert model.logits is not None
        np.testing.assert_array_equal(decode_logits(model.logits), answer(draw_pictures((4, 6, 3))))


def test_a_file_of_any_batch_is_opened_in_the_size_that_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torch.compile's, which would compile once more for another size."""
    opened = []

    class OneFile(fake_engine.FakeEngine):
        def compile(self, job: CompileJob) -> Built:
            built = super().compile(job)
            return replace(built, files=((None, built.files[0][1]),))

        def open(self, file: EngineFile, device: str, batch_size: int | None = None, streams: int = 1) -> FakeSession:
            opened.append(batch_size)
            return FakeSession(batch_size)

    monkeypatch.setattr(fake_engine, "FakeEngine", OneFile)
    file = build(tmp_path, monkeypatch, (8,))
    assert opened == [8] and file.manifest.files[0].logits is not None


@pytest.mark.parametrize(("batch_size", "runs"), [(None, 4), (1, 4), (3, 2), (16, 1)])
def test_a_session_gets_them_in_batches_that_it_takes(
    batch_size: int | None, runs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = FakeSession(batch_size)
    run_pictures(session, build(tmp_path, monkeypatch).manifest)
    assert [len(batch) for batch in session.given] == [batch_size or 1] * runs


def test_a_float_engine_gets_them_as_the_card_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = build(tmp_path, monkeypatch).manifest
    session = FakeSession(dtype="float32", answer=lambda batch: batch.reshape(len(batch), -1)[:, :4])
    run_pictures(session, manifest.model_copy(update={"input": session.input}))
    pixels = draw_pictures((4, 6, 3))[0].astype(np.float64) / 255
    expected = ((pixels - [0.5, 0.25, 0.125]) / [0.5, 0.25, 0.125]).transpose(2, 0, 1)
    np.testing.assert_allclose(session.given[0][0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("precision", "executed", "limit"),
    [
        ("fp32", {"fp32": 3}, 1e-4),
        ("tf32", {"tf32": 3}, 1e-2),
        ("fp16", {"fp16": 3, "fp32": 1}, 1e-2),
        ("bf16", {"bf16": 3}, 5e-2),
        ("int8", {"int8": 3, "fp32": 2}, 3e-2),
        # Float layers of an int8 graph, on a processor that computes them in bf16.
        ("int8", {"int8": 3, "bf16": 2}, 5e-2),
        ("fp32", {"fp32": 3, "unknown": 1}, 1e-1),
    ],
)
def test_rounding_passes_and_another_engine_does_not(
    precision: str, executed: dict[str, int], limit: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = build(tmp_path, monkeypatch)
    runs = {"precision": precision, "executed": executed}
    file = EngineFile(file.folder, file.manifest.model_copy(update=runs))
    check_self_test(FakeSession(), file)
    assert find_same_floor(precision, executed) == limit
    near, far = (FakeSession(answer=lambda x, by=share * limit: answer(x) * np.float32(1 + by)) for share in (0.9, 1.1))
    check_self_test(near, file)
    with pytest.raises(RefusedFile, match=r"engine fails its self-test.* delete it and compile") as at:
        check_self_test(far, file)
    assert at.value.exit_code == 8


def test_every_precision_has_a_tolerance() -> None:
    assert set(SAME_FLOORS) == set(PRECISIONS)


@pytest.mark.parametrize(
    ("given", "passes"),
    [
        (lambda x: np.full((len(x), 4), np.nan, np.float32), False),
        (lambda x: answer(x)[:, :3], False),
        (lambda x: answer(x)[::-1], False),
        (answer, True),
    ],
)
def test_what_is_no_number_or_of_another_shape_is_refused(
    given: object, passes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = build(tmp_path, monkeypatch, (8,))
    session = FakeSession(8, answer=given)  # type: ignore[arg-type]
    if passes:
        check_self_test(session, file, 8)
        return
    with pytest.raises(RefusedFile, match="fails its self-test"):
        check_self_test(session, file, 8)


def test_numbers_that_never_were_ones_are_compared_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overflow(batch: np.ndarray) -> np.ndarray:
        logits = fake_engine.answer(batch)
        logits[:, 0] = np.inf
        return logits

    monkeypatch.setattr(fake_engine.FakeEngine, "open", lambda *_, **__: FakeSession(answer=overflow))
    file = build(tmp_path, monkeypatch)
    check_self_test(FakeSession(answer=overflow), file)
    with pytest.raises(RefusedFile):
        check_self_test(FakeSession(), file)


def test_an_engine_of_before_still_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = build(tmp_path, monkeypatch)
    edit_json(file.folder / "engine.json", lambda written: [model.pop("logits") for model in written["files"]])
    old = read_engine(file.folder)
    assert [model.logits for model in old.manifest.files] == [None]
    check_self_test(FakeSession(answer=lambda x: answer(x) * 2), old)
