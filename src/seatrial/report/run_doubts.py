"""The doubts about a run's figures, from its records."""

from collections.abc import Callable, Iterator, Mapping

from seatrial.report.doubt_kinds import find_kind
from seatrial.report.doubts import RUN, Doubt
from seatrial.results.run_folder import AnyRecord, Run
from seatrial.results.speed import explain_unmeasured


def find_doubts(run: Run) -> tuple[Doubt, ...]:
    """Every doubt: first of records that are not the run's, then of measurements, then of records that do not fit."""
    found = [*_doubt_records(run), *_list_measured(run), *_list_evaluated(run), *_list_misfits(run)]
    return tuple(Doubt(find_kind(text, fallback), engine, text) for engine, text, fallback in found)


_Found = Iterator[tuple[str, str, str]]
"""Engine, sentence, and the kind of sentences that no kind knows."""


def _doubt_records(run: Run) -> _Found:
    """Records of the folder that are not of this run, or not provably."""
    for path, other in run.stale.items():
        yield RUN, f"stale: {path} is of {other} and left out; run it again", "other"
    if run.verdict is not None and not run.verdict.run:
        yield (
            RUN,
            "an older version stored the verdict, without the checksums of what it was judged from",
            "other",
        )
    if run.checkpoint is not None and run.checkpoint.published is False:
        text = "its weights are not the published file of the card, so the published accuracy is not theirs"
        yield RUN, text, "other"
    for name, record in run.accuracy.items():
        if not (run.folder / "evaluation" / record.predictions).is_file():
            text = f"its predictions {record.predictions} are missing, so its accuracy was not counted again"
            yield name, text, "other"


def _list_measured(run: Run) -> _Found:
    for name, measured in run.measurements.items():
        yield from ((name, text, "other speed") for text in measured.doubts)
        if measured.contradicted:
            yield name, measured.contradicted, "contradicted"
        yield from ((name, explain_unmeasured(absent, measured), "unmeasured") for absent in measured.unmeasured)


def _list_evaluated(run: Run) -> _Found:
    for name, engine in run.built.items():
        yield from ((name, note, "optimiser") for note in engine.notes)
    for name, record in run.accuracy.items():
        yield from ((name, text, "other") for text in record.doubts)
        yield from ((name, text, "other") for text in (record.compared.doubts if record.compared else ()))
        if record.unchecked:
            yield name, f"nothing checked whether its predictions are plausible: {record.unchecked}", "other"


def _list_misfits(run: Run) -> _Found:
    accuracy, speed = run.accuracy, run.measurements
    most = max((record.images for record in accuracy.values()), default=0)
    same_images = {name: r for name, r in accuracy.items() if r.contents_hash and r.images == most}
    misfits = {
        "its accuracy is that of another number of images": _unlike_first(accuracy, lambda r: r.images),
        "its accuracy is that of another checkpoint": _unlike_first(accuracy, lambda r: r.checkpoint_sha256),
        "its accuracy is that of other image files under the same names": _unlike_first(
            same_images, lambda r: r.contents_hash
        ),
        "its accuracy was reached with another preprocessing": _unlike_first(accuracy, lambda r: r.preprocess_hash),
        "its speed was measured on another machine": _unlike_first(
            speed, lambda m: (m.environment.cpu, m.environment.cores)
        ),
        "its speed was measured with other inputs": _unlike_first(speed, lambda m: m.inputs),
    }
    for what, names in misfits.items():
        yield from ((name, f"{what}, so its figures do not compare with the others'", "other") for name in names)


def _unlike_first(records: Mapping[str, AnyRecord], value: Callable[[AnyRecord], object]) -> list[str]:
    """Names whose value is not the first record's."""
    values = {name: value(record) for name, record in records.items()}
    return [name for name, own in values.items() if own != next(iter(values.values()))]
