"""A run's records in brief, for lists of many runs."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from seatrial.machine.environment import machine_hash
from seatrial.metrics.intervals import exact_bounds
from seatrial.results.recount import find_predictions
from seatrial.results.run import ACCURACY, ENGINE, GRAPH, SPEED, VERDICT, WEIGHTS, Run
from seatrial.results.speed import find_memory, measure_speeds
from seatrial.store.measurement import Measurement
from seatrial.store.predictions import hash_labels
from seatrial.store.records import WORST_FIRST, AccuracyRecord, EngineManifest
from seatrial.store.summary import EVALUATION, EngineSummary, RunSummary, SpeedSummary, SummarySource


def summarise(run: Run) -> RunSummary:
    """A run's engines with the figures that lists of runs show.

    Raises:
        RefusedFile: a file of predictions is not the one that its record was counted from.
    """
    # Where weights or graph are others, or what the verdict names as its evidence, records are stale.
    paths = ["run.json", VERDICT, WEIGHTS, GRAPH, *(run.verdict.evidence if run.verdict else ())]
    paths += [place.format(name) for place in (ENGINE, ACCURACY, SPEED) for name in run.engines]
    predictions, labels = dict(_list_predictions(run)), _identify_labels(run)
    return RunSummary(
        recipe=run.recipe.name,
        title=run.recipe.title,
        origin=run.recipe.origin or "",
        reference=run.reference,
        outcome=None if run.verdict is None else run.verdict.outcome,
        stale=len(run.stale),
        engines=tuple(_summarise_engine(run, name, labels) for name in run.engines),
        sources={path: SummarySource.of(run.folder / path) for path in paths} | predictions,
    )


def _list_predictions(run: Run) -> Iterator[tuple[str, SummarySource]]:
    """The files of predictions by path, each compared with its record; one that was deleted is none."""
    for record in run.accuracy.values():
        path = find_predictions(run.folder / EVALUATION, record)
        source = SummarySource(checksum="") if path is None else SummarySource.of(path, record.predictions_sha256)
        yield f"{EVALUATION}/{record.predictions}", source


def _identify_images(record: AccuracyRecord) -> str | None:
    return record.contents_hash or record.images_hash


def _identify_labels(run: Run) -> Mapping[str | None, str]:
    """What identifies the labels of the images that were evaluated, by what identifies these; of each set read once."""
    found: dict[str | None, str] = {}
    for record in run.accuracy.values():
        path, images = run.folder / EVALUATION / record.predictions, _identify_images(record)
        if record.labelled and not found.get(images):
            found[images] = hash_labels(path) if path.is_file() else ""
    return found


def _summarise_engine(run: Run, name: str, labels: Mapping[str | None, str]) -> EngineSummary:
    built, record, measured = run.built.get(name), run.accuracy.get(name), run.measurements.get(name)
    known = built or record or measured
    outcomes = [gate.outcome for gate in (run.verdict.gates if run.verdict else ()) if gate.engine == name]
    facts: dict[str, object] = {"name": name, "outcome": min(outcomes, key=WORST_FIRST.index, default=None)}
    if known is not None:
        facts |= {"engine": known.engine, "device": known.device, "precision": known.precision}
        facts["executed"] = known.executed
    if built is not None:
        facts["size_bytes"] = measure_size(run.folder / "engines" / name, built)
    if record is not None:
        facts |= _summarise_accuracy(run, record) | {"labels_hash": labels.get(_identify_images(record), "")}
    if measured is not None:
        facts |= _summarise_speed(measured)
    return EngineSummary.model_validate(facts)


def measure_size(folder: Path, built: EngineManifest) -> int | None:
    """Bytes of all files that an engine loads; None where one of them is not there."""
    names = [*(model.path for model in built.files), *built.companions]
    try:
        return sum((folder / name).stat().st_size for name in names)
    except OSError:
        return None


def _summarise_accuracy(run: Run, record: AccuracyRecord) -> dict[str, object]:
    facts: dict[str, object] = {
        "images": record.images,
        "images_hash": _identify_images(record),
        "predictions": record.predictions,
        "predictions_sha256": record.predictions_sha256,
        "first_classes": run.name_first_classes(record),
    }
    top1, versus, compared = record.accuracy(), record.versus, record.compared
    if top1 is not None:
        low, high = exact_bounds(record.hits[0], record.images, 0.975)  # on each side, so 95 % in all
        facts |= {"top1": top1, "top1_low": low, "top1_high": high}
    if versus is not None:
        facts |= {"drop_pp": versus.drop_pp, "drop_low_pp": versus.low_pp, "drop_high_pp": versus.high_pp}
    if compared is not None:
        low, high = exact_bounds(compared.images - compared.changed, compared.images)
        share = 1 - compared.changed / compared.images
        facts |= {"agreement": share, "agreement_low": low, "agreement_high": high}
    return facts


def _summarise_speed(measured: Measurement) -> dict[str, object]:
    environment = measured.environment
    return {
        "machine": f"{environment.cpu}, {environment.cores} cores",
        "machine_hash": machine_hash(environment),
        "facts": {
            "graph": measured.graph_sha256,
            "preprocess": measured.preprocess_hash,
            "clock": "" if environment.clock_mhz is None else f"{environment.clock_mhz:.0f} MHz",
        },
        "figures": tuple(_list_figures(measured)),
    }


def _list_figures(measured: Measurement) -> Iterator[SpeedSummary]:
    for speed in measure_speeds(measured, None):
        low, high = speed.rate.bounds or (None, None)
        yield SpeedSummary(
            scope=speed.scope,
            batch_size=speed.latency.batch_size,
            streams=speed.streams,
            processes=speed.processes,
            images_per_s=speed.images_per_s,
            low=low,
            high=high,
            doubt=speed.rate.doubt,
            memory_bytes=find_memory(
                measured.by_setting(speed.scope)[(speed.scope, speed.streams, speed.latency.batch_size)]
            ),
        )
