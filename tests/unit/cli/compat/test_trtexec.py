"""`trtexec` with its own flags, and a log that our own reader of such logs takes."""

import shlex
from pathlib import Path

import pytest

from emulators.tensorrt_sdk import install_tensorrt
from onnx_graphs import write_linear
from run_folder import MACHINE, make_point
from seatrial.bench.vendor_logs import read_log
from seatrial.bench.vendor_logs.reading import LogHints
from seatrial.cli import run_cli
from seatrial.cli.compat.call import Plan
from seatrial.cli.compat.run import plan_words
from seatrial.cli.compat.tools import TOOLS
from seatrial.cli.compat.trtexec import write_log
from seatrial.errors import UsageError
from seatrial.store.measurement import Measurement

HERE = "--engine onnxruntime --precision fp32 --device cpu"


def plan_line(line: str) -> Plan:
    return plan_words(shlex.split(f"trtexec {line}"), TOOLS, "x")[1]


def plan(line: str) -> list[str]:
    """Our commands, the scratch folder in them called S."""
    made = plan_line(line)
    return [shlex.join(words).replace(str(made.scratch), "S") for words in made.commands]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_linear(Path("net.onnx"), shape=("batch", 3, 32, 32))


def test_a_graph_is_compiled_and_measured() -> None:
    bench = "--scope host --output S/measurement.json --duration 3 --min-samples 10 --processes 1 --streams 1"
    assert plan("--onnx=net.onnx --fp16 --shapes=pixels:8x3x32x32 --threads") == [
        f"compile net.onnx {HERE} --batch-size 8 --output S/model.engine --recipe x",
        f"bench S/model.engine --batch-size 8 {bench}",
    ]


def test_with_tensorrt_it_is_tensorrts_in_fp16_and_on_the_devices_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_tensorrt(monkeypatch, tmp_path / "sdk")
    made = plan_line("--onnx=net.onnx --fp16 --shapes=pixels:8x3x32x32")
    compiling, measuring = (shlex.join(words) for words in made.commands)
    assert "--engine tensorrt --precision fp16 --device cuda:0 --batch-size 8" in compiling
    assert "--scope device,host" in measuring
    assert made.notes[0] == "engine tensorrt fp16 on cuda:0"
    # A guide's NPU is replaced by it, too.
    atc = plan_words(shlex.split("atc --model=net.onnx --output=a --input_shape=pixels:1,3,32,32"), TOOLS, "x")[1]
    assert "tensorrt fp16 on cuda:0 does it" in atc.notes[0]


def test_loops_and_kept_engines() -> None:
    made = plan_line("--onnx=net.onnx --saveEngine=net.engine --iterations=100 --duration=0")
    assert "no --shapes: batch 1, as trtexec takes it" in made.notes
    compiling, measuring = made.commands
    assert compiling[-4:] == ("--output", "net.engine", "--recipe", "x")
    assert measuring[:2] == ("bench", "net.engine") and measuring[-2:] == ("--loop", "100")
    assert [line.split()[0] for line in plan("--onnx=net.onnx --buildOnly --saveEngine=net.engine")] == ["compile"]
    assert made.scratch is not None and not made.scratch.exists()


def test_a_fixed_batch_is_pinned_to_another_one() -> None:
    write_linear(Path("fixed.onnx"), shape=(16, 3, 32, 32))
    first, second, _ = plan("--onnx=fixed.onnx --batch=4")
    assert first == "simplify fixed.onnx fixed-bs4.onnx --input-shape 4,3,32,32"
    assert second.startswith("compile fixed-bs4.onnx")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--fp16", "takes --onnx=FILE or --loadEngine=FOLDER"),
        ("--onnx=net.onnx --loadEngine=a", "takes --onnx=FILE or --loadEngine=FOLDER"),
        ("--loadEngine=gone", "gone is no engine folder"),
        ("--onnx=net.onnx --shapes=image:1x3x32x32", r"its input is pixels:Nx3x32x32"),
        ("--onnx=net.onnx --shapes=pixels:1x3x32x33", "is not of this graph"),
        ("--onnx=net.onnx --shapes=pixels:1,3,32,32", "is not of this graph"),
        ("--onnx=net.onnx --batch=0", "not a whole number above 0"),
        ("--onnx=net.onnx --int8", "`seatrial quantize` makes one"),
        ("--onnx=net.onnx --streams=2", "`seatrial bench --streams N`"),
        ("--onnx=net.onnx --shape=1", "did you mean '--shapes'"),
    ],
)
def test_what_cannot_be_done_is_refused(line: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan(line)


@pytest.mark.parametrize("batch", ["--batch=2", "--shapes=image:2x32x32x3"])
def test_its_log_is_read_by_our_own_reader(
    batch: str, tiny_engines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = tiny_engines / "engines" / "onnxruntime"
    line = f"trtexec --loadEngine={engine} {batch} --iterations=6 --duration=0"
    assert run_cli(["compat", *shlex.split(line)]) == 0
    shown = capsys.readouterr()
    assert "best: batch 2" in shown.err
    Path("t4.log").write_text(shown.out)
    reading = read_log(tmp_path / "t4.log", "auto", LogHints())[2]
    (point,) = reading.points
    assert (point.batch_size, point.streams, point.scope) == (2, 1, "device")
    assert point.latency is not None and point.latency.count == 6
    assert point.images_per_s == pytest.approx(2000 / point.latency.mean_ms, rel=1e-4)


def test_times_of_a_device_stand_in_lines_of_their_own(tiny_engines: Path, tmp_path: Path) -> None:
    """Host times 10 and 12 ms; on the device 1 in, 6 and 8 computing, 2 out."""
    copies = {"scope": "device", "copy_in_ms": (1.0, 1.0), "copy_out_ms": (2.0, 2.0)}
    points = (make_point(4, (10.0, 12.0)), make_point(4, (6.0, 8.0)).model_copy(update=copies))
    measured = Measurement(
        key="k",
        name="net",
        engine="tensorrt",
        device="cuda:0",
        precision="fp16",
        executed={},
        recipe="tiny",
        graph_sha256="0" * 64,
        preprocess_hash="f" * 64,
        inputs="random",
        points=points,
        doubts=(),
        environment=MACHINE,
    )
    measured.save(tmp_path / "measured.json")
    lines = list(write_log(tmp_path / "measured.json", tiny_engines / "engines" / "onnxruntime", "net.onnx"))
    head = "&&&& RUNNING seatrial.trtexec # trtexec --onnx=net.onnx --fp16"
    Path("t4.log").write_text("\n".join((head, *lines, head.replace("RUNNING", "PASSED"))))
    host, device = read_log(tmp_path / "t4.log", "auto", LogHints())[2].points
    assert (host.scope, device.scope) == ("host", "device")
    assert host.images_per_s == pytest.approx(4000 / 11, rel=1e-4)
    assert device.images_per_s == pytest.approx(4000 / 7)
    assert host.latency is not None and host.latency.mean_ms == pytest.approx(1 + 7 + 2)
    assert (host.copy_in_ms, host.copy_out_ms) == (1, 2)
