"""Why something does not work here: the step that fails, what mends it, and the exit code."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from seatrial.cli import run_cli
from seatrial.cli.doctor import print_engines
from seatrial.engines.base import Capabilities
from seatrial.errors import EngineError, UsageError
from seatrial.workflow import doctor
from seatrial.workflow.doctor import Check, check_disk, check_engine_here, check_network, check_set, check_versions
from tiny_trial import TinyTrial


class FakeEngine:
    """An engine of which only what it says of the machine is asked."""

    has = Capabilities("torch", "2.15.0", ("cpu",), ("fp32", "bf16"), needs_network=True)

    def probe(self) -> Capabilities:
        return self.has


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeEngine]:
    monkeypatch.setattr(doctor, "get_engine", lambda name: FakeEngine())
    monkeypatch.setattr(doctor, "count_gpus", lambda: 0)
    return FakeEngine


def last(text: str) -> Check:
    *before, found = check_engine_here(text)
    assert all(check.ok for check in before)
    return found


def test_an_engine_that_works_is_tried() -> None:
    found = list(check_engine_here("onnxruntime"))
    assert [check.topic for check in found] == ["installation", "device", "precision", "trial"]
    assert all(check.ok for check in found) and "a small graph was compiled and run in " in found[-1].found


def test_what_is_not_installed_is_named(fake: type[FakeEngine], monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Capabilities("torch", None, missing="torch is not installed", install_hint="pip install torch")
    monkeypatch.setattr(fake, "has", missing)
    assert last("torch") == Check("installation", False, "torch is not installed", "pip install torch", 5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gpus", "text", "found", "fix"),
    [
        (0, "torch@cuda:0", "the driver lists no NVIDIA GPU", "`nvidia-smi` must list one"),
        (2, "torch@cuda:0", "the driver lists 2 GPUs, but this build of torch 2.15.0 uses none", "with CUDA"),
        (0, "torch@npu:0", "torch_npu, which brings NPUs to torch, is not installed", "install the torch_npu"),
        (0, "torch@CPU", "there is no device 'CPU': torch 2.15.0 has cpu", "take torch@cpu"),
        (0, "torch@tpu:0", "there is no device 'tpu:0': torch 2.15.0 has cpu", "take torch@cpu"),
        (0, "torch:int8", "torch runs no int8 here", "take onnxruntime:int8 or openvino:int8"),
        (0, "torch:fp16", "torch 2.15.0 runs no fp16 on this machine", "take torch:fp32 or torch:bf16"),
    ],
)
def test_why_a_device_or_a_precision_is_not_there(
    gpus: int, text: str, found: str, fix: str, fake: type[FakeEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "count_gpus", lambda: gpus)
    check = last(text)
    assert not check.ok and check.code == 5 and found in check.found and fix in check.fix


def test_a_gpu_of_another_number_is_named(fake: type[FakeEngine], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "has", Capabilities("torch", "2.15.0", ("cpu", "cuda:0"), ("fp32",)))
    monkeypatch.setattr(doctor, "count_gpus", lambda: 1)
    assert "none of them is 'cuda:7': torch 2.15.0 has cpu, cuda:0" in last("torch@cuda:7").found


def test_a_cpu_without_bf16_is_the_reason(fake: type[FakeEngine], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "has", Capabilities("openvino", "2026", ("cpu",), ("fp32",)))
    monkeypatch.setattr(doctor, "has_fast_bf16", lambda: False)
    assert "this CPU has no bf16 arithmetic" in last("openvino:bf16").found


def test_a_graph_that_does_not_run_is_the_reason(fake: type[FakeEngine], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> float:
        raise EngineError("the driver is older than the SDK", "update it")

    monkeypatch.setattr(fake, "has", Capabilities("openvino", "2026", ("cpu",), ("fp32",)))
    monkeypatch.setattr(doctor, "try_engine", fail)
    check = last("openvino")
    assert (check.ok, check.fix, check.code) == (False, "update it", 5)
    assert check.found == "a small graph does not run: the driver is older than the SDK"


@pytest.mark.parametrize(("text", "told"), [("opnvino", "did you mean 'openvino'"), ("openvino:bf61", "mean 'bf16'")])
def test_unknown_names_are_usage(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        list(check_engine_here(text))


def test_a_set_is_looked_through(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    assert [check.ok for check in check_set(tiny_trial.images, tiny_trial.labels, None)] == [True]
    assert [check.ok for check in check_set(tiny_trial.images, tiny_trial.labels, str(tiny_trial.card))] == [True]
    (gone,) = check_set(tmp_path / "none", None, None)
    assert not gone.ok and gone.code == 6 and gone.fix == "check its path"
    short = tmp_path / "labels.txt"
    short.write_text("\n".join(tiny_trial.labels.read_text().splitlines()[:-1]))
    wrong = [check for check in check_set(tiny_trial.images, short, None) if not check.ok]
    assert wrong[0].code == 6 and "1 images are there but not labelled" in wrong[0].found
    assert wrong[0].fix.startswith("give --recipe")
    named = [check for check in check_set(tiny_trial.images, short, str(tiny_trial.card)) if not check.ok]
    assert named[0].fix.startswith(f"`seatrial data check {tiny_trial.card} --images ")
    (flat,) = check_set(tiny_trial.images, None, None)
    assert not flat.ok and flat.code == 6 and flat.fix.startswith("give --labels FILE")


@pytest.mark.parametrize("device", ["GPU", "gpu:1", "npu"])
def test_a_device_of_openvino_that_is_not_there_is_explained(
    device: str, fake: type[FakeEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake, "has", Capabilities("openvino", "2026", ("cpu",), ("fp32",)))
    check = last(f"openvino@{device}")
    kind = device.upper()[:3]
    assert (
        check.found
        == f"openvino 2026 finds no {kind}: there is none, or its driver is missing, so there is no '{device}'"
    )
    assert "install Intel's " in check.fix and kind in check.fix
    monkeypatch.setattr(fake, "has", Capabilities("openvino", "2026", ("cpu", "gpu:0", "npu:0"), ("fp32",)))
    assert f"openvino 2026 has {kind.lower()}:0, so" in last(f"openvino@{kind.lower()}:7").found


def test_a_cpu_without_fp16_is_the_reason(fake: type[FakeEngine], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "has", Capabilities("openvino", "2026", ("cpu",), ("fp32", "bf16")))
    check = last("openvino:fp16")
    assert "a CPU does with avx512_fp16" in check.found and "openvino:bf16" in check.fix


def test_the_footnote_is_of_what_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    print_engines([Capabilities("openvino", "2026", ("cpu",), ("fp32", "int8"), in_graph=("int8",))])
    assert "* in the graph: `seatrial quantize` makes int8\n" in capsys.readouterr().out
    print_engines([Capabilities("x", "1", ("cpu",), ("fp16", "int8"), in_graph=("fp16", "int8"))])
    told = "* in the graph: `seatrial compile` converts to fp16, `seatrial quantize` makes int8\n"
    assert told in capsys.readouterr().out
    print_engines([Capabilities("x", "1", ("cpu",), ("fp32",), in_graph=("fp16",))])
    assert "* in the graph" not in capsys.readouterr().out


def test_little_space_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(list(check_disk())) == 3
    monkeypatch.setattr(doctor, "LEAST_FREE_BYTES", 2**80)
    assert [(check.ok, bool(check.fix)) for check in check_disk()] == [(False, True)] * 3


def test_what_is_older_than_needed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = ["numpy>=2.1", 'torch>=99.1; extra == "torch"', 'nothing>=3; extra == "all"', "seatrial[cpu]"]
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda name: needed)
    (check,) = check_versions()
    assert not check.ok and check.fix == "pip install 'torch>=99.1'" and "is older than 99.1" in check.found
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda name: needed[:1])
    assert [each.ok for each in check_versions()] == [True]


class Refusing(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_error(403)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Refusing) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def test_a_host_that_answers_anything_answers(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = f"http://127.0.0.1:{taken.getsockname()[1]}"
    answers, fails = check_network({server: "timm:", closed: "hf:"})
    assert answers.ok and not fails.ok and fails.code == 5
    assert "does not answer" in fails.found and "HTTPS_PROXY" in fails.fix


def test_the_verb_gives_the_code_of_what_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_cli(["doctor", "onnxruntime@cuda:99"]) == 5
    assert "no        device  " in capsys.readouterr().out
    assert run_cli(["doctor", "--images", str(tmp_path / "none"), "--json"]) == 6
    found = json.loads(capsys.readouterr().out)
    assert found["checks"][0]["ok"] is False and "engines" not in found
    monkeypatch.setattr(doctor, "HOSTS", {})
    assert run_cli(["doctor", "--labels", "x"]) == 2
