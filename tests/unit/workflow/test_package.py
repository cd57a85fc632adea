"""`seatrial package`: a folder that needs no seatrial gives what the run gave."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seatrial.cli import run_cli
from seatrial.compare.verdict import reach_verdict
from seatrial.engines.base import read_engine
from seatrial.errors import EngineError
from seatrial.results.run_folder import read_run
from seatrial.store.files import hash_file
from seatrial.store.package import PackageManifest
from seatrial.store.records import GateResult, Verdict
from seatrial.workflow.bundle import predict
from seatrial.workflow.package import find_runtime, judge_engine
from tiny_trial import TinyTrial

ALONE = """
import runpy, sys
for name in ("seatrial", "onnx", "pydantic", "scipy", "pyarrow", "simplejpeg", *sys.argv.pop(1).split()):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""The program without whatever seatrial needs besides; the words name more that must not be there."""


def run_alone(bundle: Path, *words: str, without: str = "torch") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", ALONE, without, str(bundle / "predict.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def pack(run: Path, output: Path, engine: str, *more: str) -> int:
    return run_cli(["package", str(run), "--engine", engine, "--output", str(output), *more])


@pytest.fixture(scope="module")
def bundle(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package") / "bundle"
    assert pack(tiny_run, folder, "onnxruntime") == 0
    return folder


@pytest.mark.parametrize(("engine", "others"), [("onnxruntime", "torch openvino"), ("openvino", "torch onnxruntime")])
def test_a_package_gives_the_predictions_of_its_run(
    engine: str, others: str, bundle: Path, tiny_run: Path, tiny_trial: TinyTrial, tmp_path: Path
) -> None:
    folder = bundle
    if engine != "onnxruntime":
        folder = tmp_path / "bundle"
        assert pack(tiny_run, folder, engine) == 0
    kept = read_run(tiny_run).predictions[engine]
    images = [str(tiny_trial.images / name) for name in kept.ids]
    done = run_alone(folder, *images, "--json", without=others)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [[each["class"] for each in row["classes"]] for row in rows] == kept.classes.tolist()
    assert [[each["score"] for each in row["classes"]] for row in rows] == kept.scores.tolist()
    shares = [[each["probability"] for each in row["classes"]] for row in rows]
    assert np.allclose(shares, kept.confidences(), atol=1e-6) and not list(folder.rglob("__pycache__"))


def test_a_package_of_torch_gives_the_predictions_of_its_run(
    tiny_run: Path, tiny_trial: TinyTrial, tmp_path: Path
) -> None:
    assert pack(tiny_run, tmp_path / "bundle", "torch") == 0
    kept, loaded = read_run(tiny_run).predictions["torch"], predict.Package(tmp_path / "bundle")
    for row, name in enumerate(kept.ids):
        classes = loaded.predict(tiny_trial.images / name, 5)
        assert [each["class"] for each in classes] == kept.classes[row].tolist()
        # torch takes other kernels for other batches.
        assert [each["score"] for each in classes] == pytest.approx(kept.scores[row].tolist(), rel=1e-5, abs=1e-6)
    needs = (tmp_path / "bundle" / "requirements.txt").read_text()
    assert all(f"\n{name}==" in needs for name in ("torch", "torchvision", "timm", "safetensors"))


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_graph_that_takes_floats_is_packaged(engine: str, unlabelled_run: Path, tmp_path: Path) -> None:
    assert pack(unlabelled_run / "trial", tmp_path / "bundle", engine, "--unproven") == 0
    kept, loaded = read_run(unlabelled_run / "trial").predictions[engine], predict.Package(tmp_path / "bundle")
    assert loaded.settings["input"]["dtype"] == "float32" and loaded.settings["input"]["layout"] == "NCHW"
    for row, name in enumerate(kept.ids):
        classes = loaded.predict(unlabelled_run / "photos" / name, 5)
        assert [each["class"] for each in classes] == kept.classes[row].tolist()
        assert [each["score"] for each in classes] == kept.scores[row].tolist()


@pytest.mark.parametrize(("module", "code"), [("numpy", 5), ("PIL", 5), ("onnxruntime", 5)])
def test_what_is_missing_is_named(module: str, code: int, bundle: Path) -> None:
    done = run_alone(bundle, str(bundle / "kit" / "wide-1.jpg"), without=module)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    assert "is missing; pip install -r requirements.txt" in done.stderr


def test_a_package_says_what_it_is(bundle: Path, tiny_run: Path) -> None:
    manifest, run = PackageManifest.load(bundle / "manifest.json"), read_run(tiny_run)
    assert (manifest.outcome, manifest.unproven, manifest.images_compared) == ("PASS", (), 16)
    assert manifest.run == run.manifest.identity
    present = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    assert present == {*manifest.files, "manifest.json"}
    assert {
        "predict.py",
        "prepare.py",
        "open_engine.py",
        "card.toml",
        "verdict.json",
        "report.html",
        "README.md",
        "selftest",
    } < present
    assert all(hash_file(bundle / name) == sha256 for name, sha256 in manifest.files.items())
    versions = run.accuracy["onnxruntime"].environment.versions
    needs = [f"{name}=={versions[name]}" for name in ("numpy", "pillow", "onnxruntime")]
    assert (bundle / "requirements.txt").read_text().splitlines()[1:] == needs
    page = (bundle / "README.md").read_text()
    assert "passed its trial" in page and "on 16 of its images" in page and "{" not in page
    assert len(page.splitlines()) < 60


def test_classes_have_their_names_on_one_line_each(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("tench", "odd\n\u2028name", "", "猫")
    monkeypatch.setattr("seatrial.workflow.package.read_names", lambda recipe: names)
    assert pack(tiny_run, tmp_path / "out", "onnxruntime") == 0
    loaded = predict.Package(tmp_path / "out")
    assert [loaded.name(index) for index in range(5)] == ["tench", r"odd\n\u2028name", "", "猫", ""]
    monkeypatch.setattr(predict, "__file__", str(tmp_path / "out" / "predict.py"))
    capsys.readouterr()
    assert predict.main([str(tmp_path / "out" / "kit" / "tall-1.png")]) == 0
    assert " 0 tench\n" in (shown := capsys.readouterr().out) and " 3 猫\n" in shown and " 2\n" in shown


def test_the_self_test_passes_here_and_refuses_what_was_altered(bundle: Path, tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable}
    done = subprocess.run([bundle / "selftest"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "0 of 8 pictures differ" in done.stdout and "largest difference 0, relative 0.0e+00" in done.stdout
    shutil.copytree(bundle, tmp_path / "altered")
    (model,) = (tmp_path / "altered" / "engine").glob("*.onnx")
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    for words in (["--selftest"], [str(bundle / "kit" / "wide-1.jpg")]):
        with pytest.raises(predict.Failure, match=f"engine/{model.name} is altered") as refused:
            use(tmp_path / "altered", *words)
        assert refused.value.code == 8
    model.unlink()
    with pytest.raises(predict.Failure, match="is missing"):
        predict.Package(tmp_path / "altered").test()
    (tmp_path / "altered" / "classes.txt").write_text("mine\n")
    assert predict.Package(tmp_path / "altered").names == []
    with (tmp_path / "altered" / "prepare.py").open("a") as file:
        file.write("raise SystemExit(1)\n")
    with pytest.raises(predict.Failure, match=r"prepare\.py is altered"):
        predict.Package(tmp_path / "altered")
    manifest = tmp_path / "altered" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"PASS"', '"FAIL"'))
    with pytest.raises(predict.Failure, match=r"manifest\.json was altered"):
        predict.Package(tmp_path / "altered")


def use(folder: Path, *words: str) -> object:
    loaded = predict.Package(folder)
    return loaded.test() if words == ("--selftest",) else loaded.predict(Path(words[0]), 5)


def test_the_self_test_says_what_differs(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, found = predict.Package(bundle), {"numpy": "0.1"}
    loaded.manifest["versions"] = found
    swapped = loaded.score
    monkeypatch.setattr(loaded, "score", lambda pixels: swapped(pixels)[::-1].copy())
    monkeypatch.setattr(loaded, "prepare", lambda path: predict.Package(bundle).prepare(path) // 2)
    result = loaded.test()
    text = predict.describe_test(result)
    assert not result["passed"] and "self-test FAILED" in text and "numpy: 0.1 was measured" in text
    assert "8 of 8 pictures differ" in text and "wide-1.jpg: " in text


def test_what_cannot_be_read_leaves_the_others_alone(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "none.jpg").write_bytes(b"no image")
    monkeypatch.setattr(predict, "__file__", str(bundle / "predict.py"))
    words = [str(tmp_path / "none.jpg"), str(bundle / "kit" / "tall-1.png"), str(tmp_path)]
    assert predict.main([*words, "--top", "2"]) == 6
    out, err = capsys.readouterr()
    assert out.count("\n") == 3 and out.startswith(words[1]) and err.count("cannot be read") == 2
    with pytest.raises(SystemExit):
        predict.main(["--selftest", words[0]])


def judge(run: Path, folder: Path, *gates: GateResult) -> Path:
    """The run with these gates in the place of its own."""
    shutil.copytree(run, folder)
    verdict = Verdict.load(folder / "verdict.json")
    judged = reach_verdict(verdict.recipe, gates)
    judged.model_copy(update={"run": verdict.run, "evidence": verdict.evidence}).save(folder / "verdict.json")
    return folder


def gate(engine: str, outcome: str, kind: str = "accuracy") -> GateResult:
    return GateResult.model_validate(
        {"gate": "reference_drop_pp", "engine": engine, "outcome": outcome, "kind": kind, "reason": "top-1 fell"}
    )


def test_what_did_not_pass_is_refused_with_the_code_of_its_verdict(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ort, others = gate("onnxruntime", "PASS"), gate("openvino", "FAIL")
    mixed = judge(tiny_run, tmp_path / "mixed", ort, others)
    assert judge_engine(read_run(mixed), "onnxruntime").outcome == "PASS"
    assert pack(mixed, tmp_path / "out", "openvino") == 3
    assert "openvino did not pass" in (said := capsys.readouterr().err) and "top-1 fell" in said
    slow = judge(tiny_run, tmp_path / "slow", ort, gate("", "FAIL", "speed"))
    assert pack(slow, tmp_path / "out", "onnxruntime") == 4
    unclear = judge(tiny_run, tmp_path / "open", ort, gate("torch", "INCONCLUSIVE"))
    assert pack(unclear, tmp_path / "out", "onnxruntime") == 7
    (unclear / "verdict.json").unlink()
    assert pack(unclear, tmp_path / "out", "onnxruntime") == 7
    assert pack(tiny_run, tmp_path / "out", "onxruntime") == 2
    assert "did you mean 'onnxruntime'" in capsys.readouterr().err and not (tmp_path / "out").exists()
    assert pack(slow, tmp_path / "out", "onnxruntime", "--unproven") == 0
    manifest = PackageManifest.load(tmp_path / "out" / "manifest.json")
    assert manifest.outcome == "FAIL" and "top-1 fell" in manifest.unproven[0]
    assert "**Unproven: FAIL.**" in (tmp_path / "out" / "README.md").read_text()
    Verdict.load(slow / "verdict.json").model_copy(update={"run": "another"}).save(slow / "verdict.json")
    assert pack(slow, tmp_path / "out", "onnxruntime") == 7
    assert pack(slow, tmp_path / "out", "onnxruntime", "--unproven") == 0
    # Nor a report, which has the verdict that was.
    assert (slow / "report.html").exists() and (tmp_path / "out" / "card.toml").exists()
    assert not any((tmp_path / "out" / name).exists() for name in ("verdict.json", "report.html", "report.md"))
    assert "no verdict that judges it" in (tmp_path / "out" / "README.md").read_text()
    # A package gives way to another, and to nothing else.
    assert pack(tiny_run, tmp_path / "out", "onnxruntime") == 0
    assert pack(tiny_run, tiny_run / "engines", "onnxruntime") == 2


@pytest.mark.parametrize("name", ["tensorrt", "ascend"])
def test_an_engine_that_only_seatrial_opens_is_refused(name: str, tiny_engines: Path) -> None:
    file = read_engine(tiny_engines / "engines" / "onnxruntime")
    other = replace(file, manifest=file.manifest.model_copy(update={"engine": name}))
    with pytest.raises(EngineError, match=f"a package of {name} is not written.*hardware"):
        find_runtime(other)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [("builder", "python", "builder 'python'"), ("mode", "compiled", "mode=compiled")],
)
def test_a_torch_engine_that_needs_more_is_refused(key: str, value: str, reason: str, tiny_engines: Path) -> None:
    file = read_engine(tiny_engines / "engines" / "torch")
    manifest = file.manifest
    if key == "mode":
        manifest = manifest.model_copy(update={"options": {key: value}})
    else:
        card = {**manifest.graph.recipe, "network": {**manifest.graph.recipe["network"], key: value}}
        manifest = manifest.model_copy(update={"graph": manifest.graph.model_copy(update={"recipe": card})})
    with pytest.raises(EngineError, match=reason):
        find_runtime(replace(file, manifest=manifest))
