"""What each stage of a run is given: the same when it is done and when it is only looked for."""

from pathlib import Path

from seatrial.bench.measure import Limits
from seatrial.bench.sweep import SweepSpec
from seatrial.data.labels import spread
from seatrial.engines.engine_folder import BuildSpec
from seatrial.evaluation.executor import EvaluateSpec
from seatrial.evaluation.reference import ReferencePredictions
from seatrial.export.spec import ExportSpec
from seatrial.workflow.export import PARITY_IMAGES
from seatrial.workflow.run_spec import CheckedRun, RunSpec

GRAPH, INT8, CHECKPOINT = "model.onnx", "model-int8.onnx", "checkpoint.safetensors"
PIXELS = "bench/images.npy"
"""Paths in a run folder."""


def make_export(spec: RunSpec, checked: CheckedRun) -> ExportSpec:
    """How the graph is exported."""
    return ExportSpec(opset=spec.opset or checked.recipe.graph.opset, fall_back=True)


def draw_proof(checked: CheckedRun) -> list[Path]:
    """Images that graphs are proved on."""
    return spread([image.path for image in checked.images], PARITY_IMAGES)


def list_sizes(spec: RunSpec, checked: CheckedRun, choice: BuildSpec) -> tuple[int, ...]:
    """Batch sizes to compile for: none for an engine whose files take any; else every size that the run needs."""
    if choice.capabilities is not None and choice.capabilities.free_batch:
        return ()
    gate = checked.recipe.gates.same_at_batches
    return tuple(sorted({*spec.of_engine(choice.label).batch_sizes, spec.evaluate_batch_size, *gate}))


def make_evaluation(spec: RunSpec, checked: CheckedRun, reference: ReferencePredictions | None) -> EvaluateSpec:
    """The evaluation of an engine, against the reference unless it is that."""
    return EvaluateSpec(checked.images, spec.evaluate_batch_size, reference)


def make_sweep(spec: RunSpec, pixels: Path) -> SweepSpec:
    """What is measured of an engine.

    In one process: a run judges a port; for a speed to be published there is `seatrial bench`.
    """
    limits = Limits(
        duration_s=spec.bench_duration_s,
        min_samples=spec.bench_min_samples,
        precision=spec.bench_precision_pct / 100 or None,
        # On a busy machine a short measurement would otherwise spend most of its time waiting for calm.
        warmup_budget_s=limit_warmup(spec.bench_duration_s),
    )
    return SweepSpec(batch_sizes=spec.batch_sizes, images=pixels, limits=limits)


LEAST_WARMUP_S, WARMUP_SHARE = 2.0, 0.3


def limit_warmup(duration_s: float) -> float:
    """Most seconds of warm-up of a point that is timed for so long at most."""
    return max(LEAST_WARMUP_S, WARMUP_SHARE * duration_s)
