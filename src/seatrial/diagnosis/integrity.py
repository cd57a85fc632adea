"""Files of a run folder, or of its inputs, that are no longer what the manifests describe."""

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path

from seatrial.data.images import hash_listing
from seatrial.diagnosis.sample import Sample
from seatrial.engines.base import MANIFEST, list_files
from seatrial.errors import SeatrialError
from seatrial.machine.environment import find_version
from seatrial.results.run_folder import read_records
from seatrial.store.files import hash_file, hash_graph, manifest_path
from seatrial.store.records import AccuracyRecord, EngineManifest, GraphManifest


def find_changes(sample: Sample) -> tuple[str, ...]:
    """Every file that has changed since it was written, in words; unreadable manifests are findings too."""
    run, names = sample.run, sample.manifest.engines
    graphs = {graph: _hash_graph(graph) for graph in sorted(run.glob("model*.onnx"))}
    checks = (
        _check_inputs(sample),
        *(_check_graph(graph, sha256) for graph, sha256 in graphs.items()),
        _check_versions(sample.graph),
        *(_check_engine(run / "engines" / name, graphs.values()) for name in names),
        *(_check_evaluation(run / "evaluation" / f"{name}.json") for name in names),
        _check_records(run),
    )
    return tuple(dict.fromkeys(finding for check in checks for finding in _report(check)))


def _hash_graph(graph: Path) -> str:
    """Its sha256 with the external data that its manifest names; empty where some of that is missing."""
    data: tuple[str, ...] = ()
    with contextlib.suppress(SeatrialError):
        data = GraphManifest.load(manifest_path(graph)).data
    return hash_graph(graph, data) if all((graph.parent / name).is_file() for name in data) else ""


def _report(check: Iterator[str]) -> Iterator[str]:
    """What a check finds, and what it cannot read."""
    try:
        yield from check
    except SeatrialError as error:
        yield str(error)


def _check_inputs(sample: Sample) -> Iterator[str]:
    if sample.bins is not None:
        names = {path.name for path in sample.bins.folder.glob("*.bin")}
        lacking = sum(image.path.name.split(".")[0] + ".bin" not in names for image in sample.labelled)
        if lacking:
            yield f"{sample.bins.folder} lacks {lacking} of {len(sample.labelled)} images"
        if sample.bins.doubt is not None:
            yield sample.bins.doubt
    if not sample.own_inputs:
        return
    known = set(sample.manifest.inputs.values())
    if sample.labels is not None and hash_file(sample.labels) not in known:
        yield f"{sample.labels} has changed since the run"
    elif hash_listing(sample.labelled) not in known:
        yield "the images have changed since the run (names, sizes or times of change)"


def _check_graph(graph: Path, sha256: str) -> Iterator[str]:
    if GraphManifest.load(manifest_path(graph)).sha256 != sha256:
        yield f"{graph.name} was changed after it was made"


def _check_versions(graph: GraphManifest) -> Iterator[str]:
    for name, made in graph.versions.items():
        if (here := find_version(name)) not in (None, made):
            yield f"model.onnx was made with {name} {made}, and here is {here}: made again it may differ"


def _check_engine(folder: Path, graphs: Collection[str]) -> Iterator[str]:
    if not (folder / MANIFEST).is_file():
        return  # Reported by its stage.
    manifest = EngineManifest.load(folder / MANIFEST)
    for file, sha256 in list_files(manifest).items():
        if not (folder / file).is_file():
            yield f"engines/{folder.name}/{file} is missing"
        elif hash_file(folder / file) != sha256:
            yield f"engines/{folder.name}/{file} was changed after it was made"
    if manifest.graph.sha256 not in graphs:
        yield f"engines/{folder.name} was compiled from another graph than those in the run folder"


def _check_evaluation(path: Path) -> Iterator[str]:
    if path.is_file():
        record = AccuracyRecord.load(path)
        predictions = path.with_name(record.predictions)
        if not predictions.is_file() or hash_file(predictions) != record.predictions_sha256:
            state = "was changed after it was made" if predictions.exists() else "is missing"
            yield f"evaluation/{predictions.name} {state}"


def _check_records(run: Path) -> Iterator[str]:
    """Records of other inputs than run.json names, or than those beside them."""
    for path, reason in read_records(run).stale.items():
        yield f"{path} is of {reason}: run it again"
