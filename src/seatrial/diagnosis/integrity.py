"""Files of a run folder, or of its inputs, that are no longer what the manifests describe."""

from collections.abc import Iterator
from pathlib import Path

from seatrial.data.images import hash_listing
from seatrial.diagnosis.sample import Sample
from seatrial.engines.base import MANIFEST
from seatrial.errors import SeatrialError
from seatrial.machine.environment import find_version
from seatrial.results.run_folder import read_records
from seatrial.store.files import hash_file, manifest_path
from seatrial.store.records import AccuracyRecord, EngineManifest, GraphManifest


def find_changes(sample: Sample) -> tuple[str, ...]:
    """Every file that has changed since it was written, in words; unreadable manifests are findings too."""
    found = (*_check_inputs(sample), *_check_graphs(sample), *_check_engines(sample), *_check_evaluations(sample))
    return tuple(dict.fromkeys((*found, *_find_stale(sample))))


def _find_stale(sample: Sample) -> Iterator[str]:
    """Records of other inputs than run.json names, or than those beside them."""
    try:
        stale = read_records(sample.run).stale
    except SeatrialError as error:
        yield str(error)
        return
    for path, reason in stale.items():
        yield f"{path} is of {reason}: run it again"


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


def _check_graphs(sample: Sample) -> Iterator[str]:
    for graph in sorted(sample.run.glob("model*.onnx")):
        try:
            manifest = GraphManifest.load(manifest_path(graph))
        except SeatrialError as error:
            yield str(error)
            continue
        if hash_file(graph) != manifest.sha256:
            yield f"{graph.name} was changed after it was made"
    for name, made in sample.graph.versions.items():
        if (here := find_version(name)) not in (None, made):
            yield f"model.onnx was made with {name} {made}, and here is {here}: made again it may differ"


def _check_engines(sample: Sample) -> Iterator[str]:
    graphs = {hash_file(graph) for graph in sample.run.glob("model*.onnx")}
    for name in sample.manifest.engines:
        folder = sample.run / "engines" / name
        if not (folder / MANIFEST).is_file():
            continue  # Reported by its stage.
        try:
            manifest = EngineManifest.load(folder / MANIFEST)
        except SeatrialError as error:
            yield str(error)
            continue
        files = {**{model.path: model.sha256 for model in manifest.files}, **manifest.companions}
        for file, sha256 in files.items():
            if not (folder / file).is_file():
                yield f"engines/{name}/{file} is missing"
            elif hash_file(folder / file) != sha256:
                yield f"engines/{name}/{file} was changed after it was made"
        if manifest.graph.sha256 not in graphs:
            yield f"engines/{name} was compiled from another graph than those in the run folder"


def _check_evaluations(sample: Sample) -> Iterator[str]:
    for name in sample.manifest.engines:
        path = sample.run / "evaluation" / f"{name}.json"
        if not path.is_file():
            continue
        try:
            record = AccuracyRecord.load(path)
        except SeatrialError as error:
            yield str(error)
            continue
        yield from _check_predictions(path.with_name(record.predictions), record.predictions_sha256)


def _check_predictions(path: Path, sha256: str) -> Iterator[str]:
    if not path.is_file() or hash_file(path) != sha256:
        yield f"evaluation/{path.name} {'was changed after it was made' if path.exists() else 'is missing'}"
