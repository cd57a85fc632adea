import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

import fake_engine
from fake_engine import FakeSession, answer, make_graph
from seatrial.data.bins.info_file import write_info
from seatrial.data.preprocessing.input_pipeline import read_pipeline
from seatrial.engines import ENGINES
from seatrial.engines.compile_process import compile_here
from seatrial.engines.engine_folder import BuildSpec, build_engine
from seatrial.engines.self_test import PICTURES
from seatrial.errors import DataError, ParityError, UsageError
from seatrial.evaluation.guide_format import print_pure
from seatrial.progress import Update
from seatrial.store.records import GraphManifest, Int8Calibration
from seatrial.workflow.infer import InferResult, infer_engine
from seatrial.workflow.infer_output import InferSpec

PIXELS = np.random.default_rng(7).integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
ANSWERS = answer(PIXELS)


def make_engine(
    folder: Path,
    sizes: tuple[int, ...] = (),
    calibration: Int8Calibration | None = None,
    names: tuple[str, ...] | None = None,
) -> Path:
    graph = make_graph(folder)
    manifest = GraphManifest.load(folder / "model.onnx.json")
    whole: dict[str, object] = {"preprocess_hash": read_pipeline(manifest).hash, "calibration": calibration}
    if names is not None:
        whole["recipe"] = {**manifest.recipe, "labels": {"names": names}}
    manifest.model_copy(update=whole).save(folder / "model.onnx.json")
    return build_engine(graph, BuildSpec("fake", batch_sizes=sizes), folder / "engine", compile=compile_here).folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five images as PNG and as .bin, and a fake engine of free batch, in the current folder."""
    monkeypatch.setitem(ENGINES, "fake", "fake_engine:FakeEngine")
    monkeypatch.chdir(tmp_path)
    for kind in ("images", "bins"):
        (tmp_path / kind).mkdir()
    for number, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(tmp_path / "images" / f"a{number}.png")
        (tmp_path / "bins" / f"a{number}.bin").write_bytes(pixels.tobytes())
    make_engine(tmp_path)
    return tmp_path


def infer(**asked: object) -> tuple[InferResult, list[str]]:
    """What came of it, and the notes."""
    told: list[Update] = []
    spec = InferSpec(**{"source": "bins", "output": Path("out"), "dirname": "a", **asked})  # type: ignore[arg-type]
    done = infer_engine(Path("engine"), spec, told.append)
    return done, [update.note for update in told if update.note]


@pytest.mark.parametrize("source", ["images", "bins", "bins/a0.bin,bins/a1.bin,bins/a2.bin,bins/a3.bin,bins/a4.bin"])
def test_every_file_has_its_predictions(source: str, here: Path) -> None:
    done, _ = infer(source=source, batch_size=2)
    assert sorted(path.name for path in Path("out/a").iterdir()) == [f"a{number}_0.bin" for number in range(5)]
    for number, row in enumerate(ANSWERS):
        assert (here / "out" / "a" / f"a{number}_0.bin").read_bytes() == row.tobytes()
    assert (done.files, done.course.images, done.course.batches) == (5, 5, 3)


def test_the_first_images_are_shown_with_their_best_classes_where_the_card_names_them(here: Path) -> None:
    assert not any("%" in note for note in infer()[1])
    shutil.rmtree(here / "engine")
    make_engine(here, names=("red", "a\nb", "\x1b[1m", "grey"))
    _, notes = infer(dirname="b", source="images")
    shown = [note for note in notes if "%" in note]
    assert [note.partition(":")[0] for note in shown] == ["a0.png", "a1.png", "a2.png"]
    best = int(ANSWERS[0].argmax())
    share = softmax(ANSWERS[0].astype(np.float64)).max()
    name = ("red", r"a\nb", r"\x1b[1m", "grey")[best]
    assert shown[0].startswith(f"a0.png: {best} {name} {share:.1%}, ")
    assert shown[0].count("%") == 3 and all(note.isprintable() for note in shown)


def test_forms_and_the_summary_beside_the_folder(here: Path) -> None:
    infer(form="TXT")
    assert Path("out/a/a3_0.txt").read_text() == "".join(f"{value:f} " for value in ANSWERS[3]) + "\n"
    infer(form="NPY", dirname="b")
    np.testing.assert_array_equal(np.load("out/b/a3_0.npy"), ANSWERS[3:4])
    told = json.loads(Path("out/a_summary.json").read_text())
    assert told["filesinfo"]["3"] == {"infiles": ["bins/a3.bin"], "outfiles": ["out/a/a3_0.txt"]}
    assert len(told["filesinfo"]) == 5 and len(told["npu_compute_time_list"]) == 1
    assert told["args"][:3] == ["seatrial", "infer", "engine"]
    assert sorted(path.name for path in Path("out").iterdir()) == ["a", "a_summary.json", "b", "b_summary.json"]


def test_without_a_name_the_folder_is_the_time(here: Path) -> None:
    done, _ = infer(dirname=None)
    assert done.place is not None
    assert re.fullmatch(r"\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d", done.place.folder.name)
    assert done.place.summary.name == f"{done.place.folder.name}_summary.json" and done.place.summary.exists()


def test_the_older_tools_layout(here: Path) -> None:
    done, _ = infer(layout="benchmark", dirname=None, form="TXT", batch_size=2)
    assert len(list(Path("out/result/dumpOutput_device0").iterdir())) == 5
    assert Path("out/result/dumpOutput_device0/a4_1.txt").exists()
    lines = Path("out/result/perf_vision_batchsize_2_device_0.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["[e2e]", "[data", "[preprocess]", "[infer]", "[post]"]
    assert f"Interface throughputRate: {done.performance.images_per_s:g}," in lines[3]


def test_an_info_file_is_read_and_its_sizes_are_checked(here: Path) -> None:
    write_info("bins", Path("val.info"), width=6, height=4)
    infer(source="val.info")
    assert len(list(Path("out/a").iterdir())) == 5
    write_info("bins", Path("val.info"), width=4, height=6)
    with pytest.raises(DataError, match=r"\.info file bins/a0\.bin is 4×6 \(width×height\), the engine takes 6×4"):
        infer(source="val.info", dirname="b")


def test_without_input_one_batch_of_zeros_is_fed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions: list[FakeSession] = []

    def open_session(*_: object) -> FakeSession:
        sessions.append(FakeSession(answer=lambda batch: answer(batch) + np.arange(4, dtype=np.float32)))
        return sessions[-1]

    monkeypatch.setattr(fake_engine.FakeEngine, "open", open_session)
    make_engine(here)
    sessions.clear()
    done, notes = infer(source=None, batch_size=3, loop=4, form="TXT")
    assert Path("out/a/pure_infer_data_0.txt").read_text() == "0.000000 1.000000 2.000000 3.000000 \n" * 3
    fed = sessions[0].given[PICTURES:]
    assert not np.concatenate(fed).any()
    assert len(fed) == 1 + 4 and len(done.performance.compute_ms) == 4
    assert "the engine is fed zeros, which are no photographs" in notes[0]
    infer(source=None, batch_size=3, dirname="b", pure_data="random")
    fed = sessions[1].given[PICTURES:]
    assert np.concatenate(fed).std() == pytest.approx(74, abs=4), "as uniform bytes: 256 / sqrt(12)"


def test_without_output_only_times_are_taken(here: Path) -> None:
    done, _ = infer(output=None, dirname=None, loop=3)
    assert done.place is None and len(done.performance.compute_ms) == 3
    assert sorted(path.name for path in here.iterdir()) == ["bins", "engine", "images", "model.onnx", "model.onnx.json"]


def test_what_is_not_known_is_said(here: Path) -> None:
    _, notes = infer(batch_size=2)
    assert notes == [
        "without a bins.json beside them, how the files were preprocessed is not checked",
        "get filesperbatch files0 size:72 tensor0size:144 filesperbatch:2 runcount:3",
        "NPU_compute_time is the host's time of a run of fake, copies included",
    ]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"output": None}, "--output-dirname names a folder in --output; give --output too"),
        ({"layout": "benchmark"}, "no --output-dirname"),
        ({"layout": "benchmark", "dirname": None, "form": "NPY"}, "TXT or BIN"),
        ({"layout": "msame", "dirname": "a"}, "no --output-dirname"),
        ({"dirname": "full"}, "out/full is there already; choose another"),
        ({"dirname": "file"}, "out/file is there already; choose another"),
        ({"dirname": "full", "replace": True}, r"out/full has more than logits \(mine.txt\), so it is not replaced"),
        ({"dirname": "file", "replace": True}, "out/file has more than logits"),
    ],
)
def test_a_wrong_place_is_reported_before_any_work(asked: dict[str, object], words: str, here: Path) -> None:
    (here / "out" / "full").mkdir(parents=True)
    (here / "out" / "full" / "mine.txt").write_text("mine")
    (here / "out" / "file").write_text("mine")
    with pytest.raises(UsageError, match=words):
        infer(**asked)
    assert (here / "out" / "full" / "mine.txt").read_text() == "mine"


def test_a_batch_that_was_not_compiled_is_reported(here: Path) -> None:
    make_engine(here, (4, 2))
    with pytest.raises(
        UsageError, match="engine runs batch 2, 4, not 3; give one of these, or compile it with --batch"
    ):
        infer(batch_size=3)
    assert infer()[0].performance.batch_size == 2
    assert infer(batch_size=4, dirname="b")[0].performance.batch_size == 4


def test_files_of_one_name_are_refused_before_any_work(here: Path) -> None:
    (here / "bins" / "a0.x.bin").write_bytes(PIXELS[0].tobytes())
    with pytest.raises(DataError, match="would both be called a0"):
        infer()
    assert not (here / "out").exists()


def test_floats_for_an_engine_of_bytes_are_refused(here: Path) -> None:
    (here / "floats").mkdir()
    (here / "floats" / "a.bin").write_bytes(bytes(4 * 72))
    with pytest.raises(DataError, match=r"as large as one image in float32, .* give the folder of images themselves"):
        infer(source="floats")


def test_logits_of_an_earlier_run_may_be_replaced(here: Path) -> None:
    infer(form="TXT")
    infer(source="bins/a1.bin", replace=True)
    assert [path.name for path in Path("out/a").iterdir()] == ["a1_0.bin"]
    assert len(json.loads(Path("out/a_summary.json").read_text())["filesinfo"]) == 1
    infer(replace=True, dirname="new")
    assert len(list(Path("out/new").iterdir())) == 5


def test_the_older_tools_layout_without_input(here: Path) -> None:
    """It counts executions and images, and stores no logits."""
    done, _ = infer(layout="benchmark", dirname=None, source=None, batch_size=2, loop=5, pure_data="random")
    (path,) = Path("out/result").iterdir()
    assert path.name == "PureInfer_perf_of_engine_in_device_0.txt"
    times = done.performance.compute_ms
    assert len(times) == 5
    rate, each = 2 * 1000 * 5 / sum(times), sum(times) / 5 / 2
    found = re.fullmatch(r"ave_throughputRate = (\S+)samples/s, ave_latency = (\S+)ms\n", path.read_text())
    assert found is not None and [float(text) for text in found.groups()] == pytest.approx([rate, each], rel=1e-4)
    assert print_pure(done.performance, path)[5:] == [
        "[INFO] PureInfer result saved in out/result/PureInfer_perf_of_engine_in_device_0.txt",
        "-----------------PureInfer Performance Summary------------------",
        f"[INFO] ave_throughputRate: {rate:g}samples/s, ave_latency: {each:g}ms",
        "----------------------------------------------------------------",
    ]


def test_the_layout_of_msame(here: Path) -> None:
    done, _ = infer(layout="msame", dirname=None, form="TXT")
    assert done.place is not None and done.place.folder is not None and done.place.summary is None
    names = sorted(path.name for path in done.place.folder.iterdir())
    assert names == [f"a{number}_output_0.txt" for number in range(5)]
    text = (done.place.folder / "a3_output_0.txt").read_text()
    assert text == "".join(f"{value:g} " for value in ANSWERS[3].tolist())
    assert list(Path("out").iterdir()) == [done.place.folder]


def test_a_run_that_fails_leaves_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(batch: np.ndarray) -> np.ndarray:
        return np.where((batch == PIXELS[4]).all(axis=(1, 2, 3))[:, None], np.float32(np.nan), answer(batch))

    monkeypatch.setattr(fake_engine.FakeEngine, "open", lambda *_: FakeSession(answer=spoil))
    with pytest.raises(ParityError, match=r"first for bins/a4\.bin"):
        infer(batch_size=2)
    assert list(Path("out").iterdir()) == []


def test_an_empty_folder_is_filled(here: Path) -> None:
    (here / "out" / "a").mkdir(parents=True)
    infer()
    assert len(list(Path("out/a").iterdir())) == 5


def test_images_that_an_int8_graph_was_calibrated_with_are_reported(here: Path) -> None:
    from seatrial.data.calibration import hash_contents

    contents = hash_contents([here / "images" / "a2.png"])
    make_engine(here, calibration=Int8Calibration(
        images=1, sha256="s", contents=contents, preset="mixed", layers=1, float_layers=0
    ))  # fmt: skip
    _, notes = infer(source="images")
    assert notes[0].startswith("1 of 5 evaluation images were used for calibration, first images/a2.png: a score of")


def test_an_engine_of_another_preprocessing_is_refused(here: Path) -> None:
    make_graph(here)
    build_engine(here / "model.onnx", BuildSpec("fake"), here / "engine", compile=compile_here)
    with pytest.raises(DataError, match="engine was built for another preprocessing"):
        infer()


def test_the_command_is_the_whole_of_what_was_asked() -> None:
    spec = InferSpec("bins", Path("out"), "a", "TXT", 4, 3, 2)
    assert " ".join(spec.write_command(Path("engine"))) == (
        "seatrial infer engine --outfmt TXT --layout ais-bench --loop 3 --warmup 2 --pure-data-type zero "
        "--input bins --output out --output-dirname a --batch-size 4"
    )
