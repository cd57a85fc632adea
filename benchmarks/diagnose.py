"""Planted faults and the stage that `seatrial diagnose` names for each: is it the right one?

    python benchmarks/diagnose.py [--run RUN] [--limit 64] [--folder WORK]

RUN is a folder that `seatrial run` or `seatrial demo` wrote, and this is started where that was; without it a miniature
trial is made and run. Each fault is planted in a copy, whose manifests get the new hashes, so that only numbers tell.
Leaves with 1 if a fault is taken for another, or a sound run for a faulty one.
"""

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import planted_faults as faults
from seatrial.cli import run_cli
from seatrial.cli.output.progress import print_table
from seatrial.diagnosis.sample import Sample, read_sample
from seatrial.engines import get_engine
from seatrial.errors import SeatrialError
from seatrial.progress import silent
from seatrial.store.diagnosis import Diagnosis
from seatrial.workflow.diagnose import DiagnoseSpec, diagnose_run


@dataclass(frozen=True)
class Fault:
    """Something to plant."""

    name: str
    stage: str | None
    """What must be named."""
    plant: Callable[[Path], None] = lambda run: None
    spec: Callable[[Path, DiagnoseSpec], DiagnoseSpec] = lambda folder, spec: spec
    """What else to give to the diagnosis, made in a folder of its own."""


def list_faults(case: Sample) -> Iterator[Fault]:
    """Those that can be planted in this run."""
    yield Fault("none", None)
    if case.labels is not None:
        labels, classes = case.labels, case.recipe.network.classes

        def give_labels(folder: Path, spec: DiagnoseSpec) -> DiagnoseSpec:
            images = case.labelled[0].path.parent
            return replace(spec, images=images, labels=faults.move_labels(labels, folder / "labels.txt", classes, True))

        yield Fault("labels plus one, the last class first", "labels", spec=give_labels)
    for name, make, form in (
        ("bins resized as OpenCV does", faults.resize_as_opencv, "float"),
        ("bins with red and blue swapped", faults.swap_colours, "float"),
        ("bins of a crop 1 lower and 2 further left", faults.shift_crop, "uint8"),
        ("bins in HWC for CHW", faults.make_pixels, "transposed"),
    ):
        yield Fault(name, "preprocessing", spec=_give_bins(case, make, form))
    yield Fault("one number of a bias in model.onnx", "stored graph", faults.change_bias)
    yield Fault("fused mean and deviation in BGR order", "fused preprocessing", faults.reverse_means)
    yield Fault("red and blue swapped inside model.onnx", "fused preprocessing", faults.reverse_order)
    yield from _list_engine_faults(case)


def _give_bins(case: Sample, make: faults.Pixels, form: str) -> Callable[[Path, DiagnoseSpec], DiagnoseSpec]:
    images = case.labelled[0].path.parent

    def give(folder: Path, spec: DiagnoseSpec) -> DiagnoseSpec:
        return replace(spec, bins=faults.write_bins(images, folder / "bins", case.recipe, make, form))

    return give


def _list_engine_faults(case: Sample) -> Iterator[Fault]:
    engines = case.manifest.engines
    yield Fault("one tensor of torch's weights", "torch", faults.change_torch)
    if "onnxruntime" in engines:
        yield Fault("a bias in onnxruntime's file", "onnxruntime", faults.change_onnxruntime)
    for name in engines:
        if name.startswith("openvino") and not name.endswith("int8"):
            yield Fault(f"a layer in {name}'s file", name, lambda run, name=name: faults.change_openvino(run, name))
    if (case.run / "model-int8.onnx").is_file():
        yield Fault("a scale in model-int8.onnx", "model-int8.onnx", faults.change_scale)


def diagnose_fault(fault: Fault, run: Path, limit: int) -> Diagnosis:
    """Plant it in a copy of the run, and look for it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(run, Path(folder) / "run", ignore=shutil.ignore_patterns("data", "train", "bench")))
        fault.plant(copy)
        return diagnose_run(fault.spec(Path(folder), DiagnoseSpec(copy, limit=limit)))


def make_run(folder: Path) -> Path:
    """A miniature trial, run in every precision that is here."""
    run = folder / "run"
    if not (run / "verdict.json").is_file():
        shutil.rmtree(folder / "trial", ignore_errors=True)
        trial = faults.make_diagnosed_trial(folder / "trial")
        bf16 = "bf16" in get_engine("openvino").probe().precisions
        engines = f"onnxruntime,openvino{':bf16' if bf16 else ''},onnxruntime:int8,openvino:int8"
        words = trial.run_arguments(
            run, "--engines", engines, "--calibration", str(folder / "trial" / "train"), "--json"
        )
        with contextlib.redirect_stdout(sys.stderr):
            code = run_cli([*words, "--batch-size", "1"])
        if code not in (0, 7):
            raise SystemExit("the miniature trial did not pass")
    return run


def main(words: list[str] | None = None) -> int:
    """Print the table; 1 if a stage is not the one that must be named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("diagnose-work"))
    parser.add_argument("--limit", type=int, default=64)
    asked = parser.parse_args(words)
    run = asked.run or make_run(asked.folder)
    case = read_sample(DiagnoseSpec(run, limit=asked.limit), silent)
    described = json.loads((run / "run.json").read_text())
    print(f"{case.recipe.title}; engines {', '.join(described['engines'])}; {len(case.images)} images")
    rows, wrong = [], 0
    for fault in list_faults(case):
        found = diagnose_fault(fault, run, asked.limit)
        stage = next((s for s in found.stages if s.stage == (found.first or fault.stage)), None)
        distance = stage.distance if stage is not None else None
        figures = (
            [f"{distance.relative_error:.1e}", f"{stage.floor:.1e}", str(distance.flips)] if distance else ["–"] * 3
        )
        wrong += found.first != fault.stage
        rows.append([fault.name, found.first or "none", *figures, "yes" if found.first == fault.stage else "NO"])
        print(f"{fault.name}: {found.conclusion}", file=sys.stderr, flush=True)
    print_table(["planted", "named", "relative error", "floor", "flips", "right"], rows, (0, 1))
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except SeatrialError as error:
        raise SystemExit(f"diagnose: {error}") from None
