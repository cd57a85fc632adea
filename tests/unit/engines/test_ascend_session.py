from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ascend_machine import forget_modules
from seatrial.engines.ascend import session
from seatrial.engines.ascend.session import AscendSession, OmFile, TimedAscendSession, split_batch
from seatrial.engines.base import DeviceTimed, StageTimes, pad_batch
from seatrial.errors import EngineError, RefusedFile, UsageError
from seatrial.store.records import TensorSpec

CLASSES = 3


class FakeModel:
    """Stands in for `InferSession`: logits are the sum of an image, times 1, 2, 3. Notes what it was given."""

    bytes_per_image = 4

    def __init__(self, device_id: int, model_path: str, largest: int = 4) -> None:
        if model_path == "broken.om":
            raise RuntimeError("[1][ACL: invalid file]\n load model failed")
        self.device_id, self.given, self.freed = device_id, [], 0
        self.largest = largest
        self.times: list[Any] = [99.0]

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(size=self.bytes_per_image * self.largest)]

    def infer(self, feeds: list[np.ndarray], mode: str) -> list[np.ndarray]:
        assert feeds[0].flags.c_contiguous
        self.given.append((len(feeds[0]), mode))
        self.times.append((10.0, 10.5) if mode == "dymbatch" else 2.0)
        MEMORY.h2d.append(0.25)
        MEMORY.d2h.append(0.125)
        return [np.outer(feeds[0].reshape(len(feeds[0]), -1).sum(1), [1, 2, 3]).astype(np.float16)]

    def reset_sumaryinfo(self) -> None:
        self.times = []

    def sumary(self) -> SimpleNamespace:
        return SimpleNamespace(exec_time_list=self.times)

    def free_resource(self) -> None:
        self.freed += 1


class FakeMemory:
    """Stands in for `MemorySummary`, spelled as in older releases."""

    h2d: list[float]
    d2h: list[float]

    def reset(self) -> None:
        self.h2d, self.d2h = [], []

    def get_H2D_time_list(self) -> list[float]:
        return self.h2d

    def get_D2H_time_list(self) -> list[float]:
        return self.d2h


MEMORY = FakeMemory()


@pytest.fixture(autouse=True)
def _fake_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    MEMORY.h2d, MEMORY.d2h = [50.0], [60.0]
    interface = SimpleNamespace(InferSession=FakeModel, MemorySummary=MEMORY)
    monkeypatch.setattr(session, "import_interface", lambda: interface)


def make_om(fixed: int | None = 4, gears: tuple[int, ...] = (), path: str = "model.om") -> OmFile:
    spec = TensorSpec(name="image", dtype="uint8", shape=(fixed, 2, 2, 1), layout="NHWC")
    return OmFile(
        Path(path), 3, spec, TensorSpec(name="class", dtype="float32", shape=(None, CLASSES), layout="NC"), gears
    )


def make_batch(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)


def answer(count: int) -> np.ndarray:
    return np.outer(np.arange(count) * 4, [1, 2, 3]).astype(np.float32)


def list_given(opened: AscendSession) -> list[tuple[int, str]]:
    return [given for model in opened._models for given in model.given]


def test_a_file_of_a_fixed_batch_runs_static() -> None:
    with AscendSession(make_om()) as opened:
        logits = opened.run(make_batch(4))
        assert list_given(opened) == [(4, "static")] and opened._models[0].device_id == 3
    assert logits.dtype == np.float32
    np.testing.assert_array_equal(logits, answer(4))


@pytest.mark.parametrize(
    ("count", "given"),
    [(1, [1]), (2, [2]), (3, [4]), (4, [4]), (5, [4, 1]), (8, [4, 4]), (11, [4, 4, 4])],
)
def test_a_file_with_gears_runs_any_batch(count: int, given: list[int]) -> None:
    with AscendSession(make_om(fixed=None, gears=(4, 1, 2))) as opened:
        np.testing.assert_array_equal(opened.run(make_batch(count)), answer(count))
        assert list_given(opened) == [(size, "dymbatch") for size in given]


def test_a_gear_that_was_asked_for_is_fed_alone() -> None:
    with AscendSession(make_om(fixed=2, gears=(1, 2, 4))) as opened:
        opened.run(make_batch(4)[::2])
        assert list_given(opened) == [(2, "dymbatch")]
        with pytest.raises(UsageError, match="takes uint8 2×2×2×1, not uint8 3×2×2×1"):
            opened.run(make_batch(3))


def test_batches_are_split_and_padded() -> None:
    assert (split_batch(9, ()), split_batch(9, (1, 4)), split_batch(8, (1, 4))) == ([9], [4, 4, 1], [4, 4])
    assert pad_batch(make_batch(3)[1:], 4)[:, 0, 0, 0].tolist() == [1, 2, 1, 1]
    assert len(pad_batch(make_batch(3), 2)) == len(pad_batch(make_batch(3), None)) == 3


def test_times_are_those_of_one_run() -> None:
    with TimedAscendSession(make_om(fixed=None, gears=(1, 4))) as opened:
        assert isinstance(opened, DeviceTimed)
        logits, times = opened.run_timed(make_batch(5))
        np.testing.assert_array_equal(logits, answer(5))
        assert times == StageTimes(copy_in_ms=0.5, device_ms=1.0, copy_out_ms=0.25)
        assert opened.run_timed(make_batch(1))[1] == StageTimes(0.25, 0.5, 0.125)
    with TimedAscendSession(make_om()) as opened:
        assert opened.run_timed(make_batch(4))[1] == StageTimes(0.25, 2.0, 0.125)


def test_copies_of_several_streams_cannot_be_told_apart() -> None:
    with AscendSession(make_om(), streams=2) as opened:
        assert not isinstance(opened, DeviceTimed) and len(opened._models) == 2


def test_every_stream_is_freed_once() -> None:
    opened = AscendSession(make_om(), streams=2)
    models = list(opened._models)
    opened.close()
    opened.close()
    assert [model.freed for model in models] == [1, 1]


def test_a_file_that_does_not_load_is_refused() -> None:
    with pytest.raises(RefusedFile, match=r"does not load broken\.om \(\[1\]\[ACL: invalid file\]\); compile it again"):
        AscendSession(make_om(path="broken.om"))


def test_a_model_of_other_bytes_is_refused() -> None:
    with pytest.raises(RefusedFile, match="takes 16 bytes for 2 images, not 8; compile it again"):
        AscendSession(make_om(fixed=2))


def test_a_prediction_of_another_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeModel, "infer", lambda *_, mode: [np.zeros((1, CLASSES), np.float32)])
    with (
        AscendSession(make_om()) as opened,
        pytest.raises(EngineError, match="gives 1×3 logits for 4 images of 3 classes"),
    ):
        opened.run(make_batch(4))


def test_an_npu_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, mode: str) -> None:
        raise RuntimeError("[5][ACL: device memory]\n execute failed")

    monkeypatch.setattr(FakeModel, "infer", fail)
    words = r"^the NPU fails at a batch of 4 \(\[5\]\[ACL: device memory\]\); take a smaller --batch-size; see `npu-smi"
    with AscendSession(make_om()) as opened, pytest.raises(EngineError, match=words):
        opened.run(make_batch(4))


def test_an_ais_bench_that_cannot_be_imported_names_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    (tmp_path / "ais_bench" / "infer").mkdir(parents=True)
    message = "libascendcl.so: cannot open shared object file"
    (tmp_path / "ais_bench" / "infer" / "interface.py").write_text(f"raise ImportError({message!r})\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    forget_modules()
    with pytest.raises(EngineError, match=r"cannot be imported \(libascendcl\.so: cannot open shared.*; .*set_env\.sh"):
        session.import_interface()
    forget_modules()
