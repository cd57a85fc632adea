"""Which records of a run folder are of other inputs than its run.json names, so that they are no results of the run.

run.json names its inputs by their hashes. The stored weights name the file they came from, the graph its weights or the
ONNX file that it is a copy of, an engine its graph, an evaluation and a measurement their engine, and the verdict the
run and the records that it judged.
Where this chain breaks, as in a run that was started with another checkpoint and stopped, a record is stale.
"""

from collections.abc import Collection, Iterator
from pathlib import PurePosixPath

from seatrial.errors import RefusedFile
from seatrial.recipes.schema import is_same_card
from seatrial.results.run import (
    ACCURACY,
    ENGINE,
    GRAPH,
    PREPROCESSING,
    SPEED,
    THROUGHPUT,
    TRAINING,
    VERDICT,
    WEIGHTS,
    Run,
)
from seatrial.store.files import hash_file
from seatrial.store.measurement import Measurement
from seatrial.store.records import AccuracyRecord, EngineManifest, GraphManifest, Verdict


def find_stale(run: Run) -> dict[str, str]:
    """The other inputs of each stale record, by its path in the run folder.

    Raises:
        RefusedFile: the verdict names a file outside the run.
    """
    found = dict(_find_stale_stages(run))
    for name, record in run.accuracy.items():
        reason = _judge_name(run, name, record) or _judge_accuracy(run, record, found) or _judge_reference(run, record)
        found |= _label(ACCURACY.format(name), reason)
    for name, pace in run.throughput.items():
        other = name in run.accuracy and pace.key != run.accuracy[name].key
        found |= _label(
            THROUGHPUT.format(name), "another evaluation" if other else found.get(ACCURACY.format(name), "")
        )
    for name, measured in run.measurements.items():
        reason = _judge_name(run, name, measured) or _judge_measurement(run, measured, found)
        found |= _label(SPEED.format(name), reason)
    if run.verdict is not None:
        found |= _label(VERDICT, _judge_verdict(run, run.verdict, found))
    proof = run.preprocessing
    if proof is not None and run.graph is not None and proof.preprocess != run.graph.preprocess_hash:
        found[PREPROCESSING] = "another card"
    if run.training is not None and run.training.checkpoint_sha256 not in _hashes(run):
        found[TRAINING] = "another checkpoint"
    return found


def _find_stale_stages(run: Run) -> Iterator[tuple[str, str]]:
    """The stored weights, the graph and the engines."""
    left = run.checkpoint is not None and (_is_of_file(run) or run.checkpoint.source_sha256 not in _hashes(run))
    if left:
        yield WEIGHTS, "another checkpoint"
    other = left and not _is_of_file(run)
    graph = "" if run.graph is None else _judge_graph(run, run.graph, other)
    if run.graph is not None and not graph:
        requested = run.graph.requested_opset or run.graph.opset
        graph = "another opset" if run.manifest.spec.get("opset", requested) != requested else ""
    if graph:
        yield GRAPH, graph
    for name, built in run.built.items():
        reason = _judge_graph(run, built.graph, other) or graph or _judge_origin(run, built)
        if reason:
            yield ENGINE.format(name), reason


def _hashes(run: Run) -> Collection[str]:
    return run.manifest.inputs.values()


def _is_of_file(run: Run) -> bool:
    """Whether the run is of an ONNX file, which has its weights inside."""
    return run.recipe.network.builder == "onnx"


def _label(path: str, reason: str) -> dict[str, str]:
    return {path: reason} if reason else {}


def _judge_graph(run: Run, graph: GraphManifest, other_weights: bool) -> str:
    if _is_of_file(run):
        if (graph.origin or graph.sha256) not in _hashes(run):
            return "another file"
    elif other_weights or (run.checkpoint is not None and graph.checkpoint_sha256 != run.checkpoint.sha256):
        return "another checkpoint"
    if not is_same_card(graph.recipe, run.manifest.recipe):
        return "another card"
    if graph.calibration is not None and graph.calibration.sha256 not in _hashes(run):
        return "other calibration images"
    return ""


def _judge_origin(run: Run, built: EngineManifest) -> str:
    """Whether the engine's graph is the run's, or was converted from it; unknown of old int8 and fp16 graphs."""
    origin = built.graph.origin or (built.graph.sha256 if built.graph.precision == "fp32" else "")
    return "another graph" if run.graph is not None and origin not in ("", run.graph.sha256) else ""


def _judge_name(run: Run, name: str, record: AccuracyRecord | Measurement) -> str:
    """Whether a record was written of another engine than the one that it is called by, as a copy is."""
    # A measurement has the name of the folder behind a link, which is followed only where the two differ.
    own = record.name == name or record.name == (run.folder / "engines" / name).resolve().name
    return "" if own else f"engine {record.name}"


def _judge_engine(run: Run, record: AccuracyRecord | Measurement, stale: Collection[str]) -> str:
    built = run.built.get(record.name)
    if ENGINE.format(record.name) in stale:
        return "an engine that is stale"
    if built is not None and record.engine_identity not in ("", built.identity):
        return "another build of the engine"
    if built is not None and record.graph_sha256 != built.graph.sha256:
        return "another graph"
    return "" if record.images_hash in (None, *_hashes(run)) else "other images or labels"


def _judge_accuracy(run: Run, record: AccuracyRecord, stale: Collection[str]) -> str:
    if not _is_of_file(run) and (
        WEIGHTS in stale or (run.checkpoint is not None and record.checkpoint_sha256 != run.checkpoint.sha256)
    ):
        return "another checkpoint"
    engine = _judge_engine(run, record, stale)
    if engine or "evaluate_batch_size" not in run.manifest.spec or record.name not in run.built:
        return engine
    size = int(run.manifest.spec["evaluate_batch_size"])
    free = any(model.batch_size is None for model in run.built[record.name].files)
    # Images that are left out were given to the engine or not.
    least, most = min(size, record.images), min(size, record.images + len(record.left_out))
    # An engine of fixed sizes takes a few images in the smallest batch that holds them.
    differs = not least <= record.batch_size <= most and (free or record.images >= size)
    return "another batch size" if differs else ""


def _judge_reference(run: Run, record: AccuracyRecord) -> str:
    """Whether its counts are against the reference's present predictions; old records do not name them."""
    compared = record.compared
    reference = None if compared is None else run.accuracy.get(compared.reference)
    if compared is None or reference is None or compared.reference_sha256 in ("", reference.predictions_sha256):
        return ""
    return "another reference"


def _judge_measurement(run: Run, record: Measurement, stale: Collection[str]) -> str:
    engine = _judge_engine(run, record, stale)
    measured = {point.batch_size for point in record.points} | {absent.batch_size for absent in record.unmeasured}
    requested = set(run.manifest.spec.get("batch_sizes", measured))
    return engine or ("other batch sizes" if measured != requested else "")


def _judge_verdict(run: Run, verdict: Verdict, stale: Collection[str]) -> str:
    if verdict.run != run.manifest.identity:
        # Older versions stored no identity: their verdicts count as long as all else is the run's.
        judged = {gate.engine for gate in verdict.gates if gate.kind == "accuracy"}
        others = not judged <= {*run.engines} or (judged and not {*run.engines[1:]} <= judged)
        return "other inputs" if verdict.run or stale or others else ""
    for path, sha256 in verdict.evidence.items():
        inside = PurePosixPath(path)
        if inside.is_absolute() or ".." in inside.parts:
            raise RefusedFile(f"{run.folder / VERDICT} names {path!r}, which is no file of the run", "run it again")
        if not (run.folder / path).is_file() or hash_file(run.folder / path) != sha256:
            return f"another {path}"
        if path in stale:
            return "records that are stale"
    return ""
