"""benchmarks/planted.py and check_cost.py: that faults are planted as they say, and that silence is not overlooked."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from seatrial.errors import DataError, RefusedFile
from seatrial.recipes import load_recipe

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SOURCE = BENCHMARKS.parent / "src"


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import planted

    return planted


@pytest.fixture(scope="module")
def cli() -> Iterator[Any]:
    """One process that forks all commands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import planted_trial
    with closing(planted_trial.Cli(SOURCE)) as cli:
        yield cli


@pytest.fixture
def bench(planted: ModuleType, cli: Any, tmp_path: Path) -> Any:
    """A trial that nothing was trained for: enough for what is refused at the door."""
    import planted_trial
    from planted_bench import Bench
    from timm import create_model

    rng = np.random.default_rng(0)
    (tmp_path / "val").mkdir()
    for index in range(12):
        picture = planted_trial.draw_digit(rng.uniform(0, 16, 64), planted_trial.INKS[index % 2], rng)
        picture.save(tmp_path / "val" / f"{index:02d}.jpg", quality=90)
    (tmp_path / "labels.txt").write_text("".join(f"{index:02d}.jpg {index % 10}\n" for index in range(12)))
    (tmp_path / "inks.toml").write_text(planted_trial.CARD)
    save_file(create_model("test_resnet", num_classes=10).state_dict(), tmp_path / "weights.safetensors")
    parts = (tmp_path / "inks.toml", tmp_path / "weights.safetensors", tmp_path / "val", tmp_path / "labels.txt")
    trial = planted_trial.Trial(*parts, tmp_path / "val")
    (tmp_path / "place").mkdir()
    return Bench(cli, trial, tmp_path / "sound", tmp_path / "floats", tmp_path / "place")


def find_fault(planted: ModuleType, key: str) -> Any:
    return next(fault for fault in planted.list_faults() if f"{fault.command}: {fault.name}" == key)


def test_there_are_forty_faults_and_each_has_a_name_of_its_own(planted: ModuleType) -> None:
    faults = list(planted.list_faults())
    keys = {(fault.command, fault.name) for fault in faults}
    assert len(keys) == len(faults)
    assert sum(not fault.sound for fault in faults) >= 40
    assert {fault.command for fault in faults} >= {"run", "evaluate", "report", "compare"}


@pytest.mark.parametrize(
    ("code", "stdout", "outcome", "silent"),
    [
        (0, "engine  images\n\nPASS: onnxruntime keeps the accuracy.\n", "PASS", True),
        (7, "INCONCLUSIVE torch plausible: at chance\n\nINCONCLUSIVE: nothing is proved.\n", "INCONCLUSIVE", False),
        (0, "engine  images  top-1\ntorch  9  50.00%\n", "figures", True),
        (6, "", "error", False),
        (0, "NOT JUDGED: this run has no verdict.\n", "figures", True),
        (0, "INCONCLUSIVE: no gate was judged.\n", "INCONCLUSIVE", False),
    ],
)
def test_silence_is_exit_code_0_with_nothing_said(
    planted: ModuleType, code: int, stdout: str, outcome: str, silent: bool
) -> None:
    from planted_bench import Tried
    from planted_trial import Ran

    tried = Tried.of(Ran(code, stdout, "seatrial: broken; mend it\n" if code == 6 else ""))
    assert (tried.code, tried.outcome, tried.silent) == (code, outcome, silent)
    assert not Tried.of(Ran(code, stdout, ""), wrong=False).silent
    if code == 6:
        assert tried.reason == "broken; mend it"


def test_the_reason_is_that_of_the_gate_that_is_not_met(planted: ModuleType) -> None:
    from planted_trial import Ran

    ran = Ran(7, "INCONCLUSIVE torch plausible: at chance\n\nINCONCLUSIVE: nothing is proved.\n", "   bench  done\n")
    assert ran.reason == "INCONCLUSIVE torch plausible: at chance"


def test_the_table_counts_what_passes_in_silence(
    planted: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "labels plus one, the last class first"
    silent = {"code": 0, "outcome": "PASS", "reason": "kept", "silent": True}
    noticed = {"code": 7, "outcome": "INCONCLUSIVE", "reason": "at chance", "silent": False}
    sound = {"name": "a sound run", "command": "run", "sound": True, "tried": silent}
    for file, tried in (("before", silent), ("after", noticed)):
        rows = [{"name": name, "command": "run", "sound": False, "tried": tried}, sound]
        (tmp_path / file).write_text(json.dumps(rows))
    before, after = str(tmp_path / "before"), str(tmp_path / "after")
    assert planted.main(["--table", before, after]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split("  ")[0] == name and "0 PASS !" in lines[1] and "7 INCONCLUSIVE" in lines[1]
    assert "a sound run" in lines[2] and "!" not in lines[2]
    assert lines[-2] == "before: 1 of 1 faults pass in silence, 0 of 1 sound cases do not pass"
    assert lines[-1] == "after: 0 of 1 faults pass in silence, 0 of 1 sound cases do not pass"
    assert planted.main(["--table", after, before]) == 1


def test_damage_changes_pixels_that_pillow_gives_without_a_word(planted: ModuleType, bench: Any) -> None:
    import planted_inputs

    data = (bench.trial.images / "00.jpg").read_bytes()
    sound = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=int)
    flipped = np.asarray(Image.open(io.BytesIO(planted_inputs.flip_with_warning(data))).convert("RGB"), dtype=int)
    assert np.abs(flipped - sound).max() > 64


def test_replaced_images_keep_name_size_and_time(planted: ModuleType, bench: Any) -> None:
    import planted_inputs

    images = bench.copy_images()
    before = {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in images.iterdir()}
    changed = planted_inputs.replace_images(images)
    assert {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in images.iterdir()} == before
    assert changed.read_bytes() != (bench.trial.images / changed.name).read_bytes()
    assert Image.open(changed).convert("RGB").size == (64, 64)


def test_a_refused_checkpoint_is_no_silence(planted: ModuleType, bench: Any) -> None:
    tried = find_fault(planted, "run: weights: a file cut off").plant(bench)
    assert tried.code == RefusedFile.exit_code and not tried.silent and "cut.safetensors" in tried.reason


def test_a_missing_class_is_no_silence(planted: ModuleType, bench: Any) -> None:
    folders = bench.copy_into_classes()
    for image in (folders / "0").iterdir():
        image.unlink()
    tried = bench.run(bench.trial.but(images=folders, labels=None))
    assert tried.code == DataError.exit_code and not tried.silent


def test_shaken_weights_are_others_and_near(planted: ModuleType, bench: Any) -> None:
    import planted_stored
    from safetensors.torch import load_file

    state = load_file(bench.trial.checkpoint)
    moved = planted_stored.shake(state)
    key = next(key for key, tensor in state.items() if tensor.ndim == 4)
    assert 0 < float((moved[key] - state[key]).norm() / state[key].norm()) < 0.05
    assert all(torch.equal(moved[key], tensor) for key, tensor in state.items() if tensor.ndim != 4)


@pytest.mark.parametrize("name", ["resnet50", "spnasnet_100", "sk_resnet50", "resnext50_32x4d", "seresnext101_32x4d"])
def test_a_loosened_card_is_the_shipped_one_but_for_weights_and_drop(
    planted: ModuleType, tmp_path: Path, name: str
) -> None:
    import planted_sound

    (tmp_path / "card.toml").write_text(
        planted_sound.loosen_card((files("seatrial.recipes") / "cards" / f"{name}.toml").read_text())
    )
    loose, shipped = load_recipe(str(tmp_path / "card.toml")), load_recipe(name)
    assert loose.weights is None and loose.gates.reference_drop_pp == 20
    gates = loose.gates.model_copy(update={"reference_drop_pp": shipped.gates.reference_drop_pp})
    assert loose.model_copy(update={"weights": shipped.weights, "gates": gates}) == shipped


@pytest.mark.parametrize(("after", "code"), [(1.02, 0), (1.05, 1)])
def test_what_checks_cost_is_a_ratio_of_rounds(
    planted: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    after: float, code: int,
) -> None:  # fmt: skip
    import check_cost

    (tmp_path / "jpegs-4").mkdir()
    for name in ("centre_weights", "make_labels"):
        monkeypatch.setattr(check_cost, name, lambda *arguments: None)
    monkeypatch.setattr(check_cost.Side, "build", lambda side, *arguments: side.folder)

    def evaluate(side: Any, engine: Path, images: Path, labels: Path) -> Any:
        seconds = after if side.folder.name == "after" else 1.0
        return check_cost.Cost(10 * seconds, 20 * seconds, 5.0)

    monkeypatch.setattr(check_cost.Side, "evaluate", evaluate)
    words = ["--before", "old", "--folder", str(tmp_path), "--images", "4", "--rounds", "3"]
    assert check_cost.main([*words, "--networks", "spnasnet_100"]) == code
    shown = capsys.readouterr().out
    assert f"cpu           20.00 s before, {20 * after:8.2f} s after: {after:.3f}" in shown
    assert "evaluation     5.00 s before,     5.00 s after: 1.000" in shown


@pytest.mark.slow
def test_faults_are_planted_in_a_trained_trial(tmp_path: Path) -> None:
    words = ["--folder", str(tmp_path), "--json", str(tmp_path / "after.json"), "--only", "sound run"]
    ran = subprocess.run([sys.executable, BENCHMARKS / "planted.py", *words], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "0 of 0 faults pass in silence, 0 of 3 sound cases do not pass" in ran.stdout
