"""The figures: speed and accuracy by engine, what was tuned, what was diagnosed, how it was trained."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from seatrial.metrics.trust import MEASURE_RUN_AGAIN
from seatrial.report.formats import escape, write_markdown_list
from seatrial.report.forms.card import describe_set, name_set
from seatrial.report.forms.guide.about import name_chip
from seatrial.report.forms.guide.blocks import NOTHING, tabulate
from seatrial.report.headline import gates_of, outcome_of
from seatrial.report.language import retell, say
from seatrial.report.numbers import round_half_up, write_count, write_exact, write_percent, write_points, write_small
from seatrial.report.speed import all_speeds, best_speeds, explain_withheld, find_ratio
from seatrial.report.tables import write_precision
from seatrial.results.run_folder import Run
from seatrial.results.speed import Speed
from seatrial.store.diagnosis import Diagnosis
from seatrial.store.records import AccuracyRecord
from seatrial.store.training import TrainingRecord

RATE_DIGITS, RATIO_DIGITS = 4, 4
"""Most decimals of images per second, as the guides print; and of ratios, which are of the printed rates."""
BEST = "最优batch"
"""What the guides call the row of the best batches, in every language."""


def write_results(run: Run) -> list[str]:
    """The guides' table, accuracy against the reference and published, speed side by side, and the gates."""
    return [
        say("Speed is in images per second, timed from images in memory to predictions in memory."),
        _write_performance(run),
        escape(describe_set(run)),
        *_write_accuracy(run),
        *_write_speeds(run),
        *_write_gates(run),
    ]


def _write_performance(run: Run) -> str:
    """The table that every guide ends with: a row for each engine and batch size."""
    rows = []
    for name in run.engines:
        speeds = all_speeds(run).get(name, ())
        chip, engine = name_chip(run, name), f"{name}, {retell(write_precision(run, name))}"
        record = run.accuracy.get(name)
        sizes = [speed.batch for speed in speeds]
        shown = str(record.batch_size) if record and str(record.batch_size) in sizes else (sizes or [""])[0]
        top1 = (
            f"{_write_accuracy_at(record, 1)}% (bs{record.batch_size})"
            if record and record.labelled
            else say("not measured")
        )
        for size, rate in [(s.batch, _write_rate(s)) for s in speeds] or [("", say("not measured"))]:
            rows.append([chip, engine, size or NOTHING, name_set(run), top1 if size == shown else NOTHING, rate])
    header = [say("Chip"), say("Engine"), "Batch Size", say("Data set"), say("Accuracy"), say("Speed")]
    return tabulate(header, rows, (5,))


def _write_rate(speed: Speed) -> str:
    return write_exact(speed.images_per_s, RATE_DIGITS)


def _write_accuracy_at(record: AccuracyRecord, k: int) -> str:
    accuracy = record.accuracy(k)
    return say("not measured") if accuracy is None else write_percent(accuracy)


def _write_accuracy(run: Run) -> list[str]:
    rows = [
        [
            name,
            write_count(record.images),
            _write_accuracy_at(record, 1),
            _write_accuracy_at(record, 5) if len(record.hits) >= 5 else NOTHING,
            *_list_versus(record),
            outcome_of(run, name) or (say("reference") if name == run.reference else say("not judged")),
        ]
        for name, record in run.accuracy.items()
    ]
    published, note = run.recipe.reference, ""
    if published:
        top5 = NOTHING if published.top5 is None else write_percent(published.top5)
        rows.append([say("published"), NOTHING, write_percent(published.top1), top5, *(NOTHING,) * 4])
        note = say("The published figures are those of the card, of the weights and images that their source names.")
    header = [say("Engine"), say("Images"), "Top-1, %", "Top-5, %", say("Drop, points"), say("Bounds of 95 % each")]
    columns = [*header, say("Changed predictions, %"), say("Verdict")]
    return [tabulate(columns, rows, range(1, 7)), note] if run.accuracy else []


def _list_versus(record: AccuracyRecord) -> tuple[str, ...]:
    """The drop, its interval, and the share of predictions that changed."""
    compared, versus = record.compared, record.versus
    changed = NOTHING if compared is None else write_percent(compared.changed / compared.images)
    if versus is None:
        return NOTHING, NOTHING, changed
    interval = say("{n} to {n2}", n=write_points(versus.low_pp), n2=write_points(versus.high_pp))
    return write_points(versus.drop_pp), interval, changed


def _write_speeds(run: Run) -> list[str]:
    """Rates by batch size as the guides set chips side by side, with the ratio to the reference."""
    best = best_speeds(run)
    found = {name: {speed.batch: speed for speed in speeds} for name, speeds in all_speeds(run).items()}
    rates = {name: {size: _write_rate(speed) for size, speed in own.items()} for name, own in found.items()}
    sound = {
        name: {size: rates[name][size] for size in own if own[size].rate.doubt is None} for name, own in found.items()
    }
    if not rates:
        return [say("Speed: not measured.")]
    sizes = dict.fromkeys(size for by_size in rates.values() for size in by_size)
    base = run.reference
    others = [name for name in rates if name != base and find_ratio(run, best, name, base) is not None]
    rows = [[f"bs{size}", *_list_rates(rates, size), *_divide(sound, others, base, size)] for size in sizes]
    tops = {name: {BEST: _write_rate(speed)} for name, speed in best.items()}
    rows.append([BEST, *_list_rates(tops, BEST), *_divide(tops, others, base, BEST)])
    header = ["Batch Size", *rates, *(f"{name}/{base}" for name in others)]
    withheld = _explain_doubts(found, best)
    note = say("Ratios are withheld where a rate is in doubt: {doubts}.", doubts=retell(withheld))
    return [
        say("Images per second, and how many times as fast as {reference}:", reference=escape(base)),
        tabulate(header, rows, range(1, len(header))),
        escape(retell(f"{note} {retell(f'{MEASURE_RUN_AGAIN}.')}")) if withheld else "",
    ]


def _explain_doubts(found: Mapping[str, Mapping[str, Speed]], best: Mapping[str, Speed]) -> str:
    """Why ratios are withheld: at the best batch sizes, and at others of engines whose best is not in doubt."""
    sizes = dict.fromkeys(size for own in found.values() for size in own)
    sound = [name for name, speed in best.items() if speed.rate.doubt is None]
    others = (explain_withheld({name: found[name][size] for name in sound if size in found[name]}) for size in sizes)
    return "; ".join(dict.fromkeys(filter(None, (explain_withheld(best), *others))))


def _list_rates(rates: dict[str, dict[str, str]], size: str) -> list[str]:
    return [by_size.get(size, NOTHING) for by_size in rates.values()]


def _divide(rates: dict[str, dict[str, str]], names: Sequence[str], base: str, size: str) -> list[str]:
    """Each over the base, worked out from the figures as printed, so that readers get the same."""
    to = rates.get(base, {}).get(size)
    return [NOTHING if to is None or size not in rates[name] else _write_ratio(rates[name][size], to) for name in names]


def _write_ratio(of: str, to: str) -> str:
    return round_half_up(Decimal(of) / Decimal(to), RATIO_DIGITS)


def _write_gates(run: Run) -> list[str]:
    rows = [[gate.outcome, gate.engine or say("all"), gate.gate, retell(gate.reason)] for gate in gates_of(run)]
    if not rows:
        return [say("No gate was judged.")]
    header = [say("Verdict"), say("Engine"), say("Gate"), say("Why, as the record has it")]
    return [say("Gates:"), tabulate(header, rows)]


def write_tuning(run: Run) -> list[str]:
    """What tuning tried, the fastest first; empty where nothing was tuned."""
    rows = [
        [
            name,
            str(trial.batch_size),
            str(trial.streams),
            NOTHING if trial.threads is None else str(trial.threads),
            write_exact(trial.images_per_s, RATE_DIGITS),
            say("taken") if trial == built.tuning.best else "",
        ]
        for name, built in run.built.items()
        if built.tuning
        for trial in sorted(built.tuning.trials, key=lambda t: -t.images_per_s)
    ]
    header = [say("Engine"), "Batch Size", say("Streams"), say("Threads"), say("Speed, images/s"), ""]
    return [say("Settings that were tried:"), tabulate(header, rows, range(1, 5))] if rows else []


def write_diagnosis(run: Run) -> list[str]:
    """The stages that `diagnose` compared; empty where it was not run."""
    path = run.folder / "diagnosis.json"
    if not path.exists():
        return []
    found = Diagnosis.load(path)
    rows = [
        [
            stage.stage,
            stage.against or NOTHING,
            write_count(stage.images),
            write_small(stage.distance.relative_error) if stage.distance else NOTHING,
            write_small(stage.floor) if stage.floor is not None else NOTHING,
            retell(stage.verdict),
        ]
        for stage in found.stages
    ]
    header = [say("Stage"), say("Against"), say("Images"), say("Relative error"), say("Noise floor"), say("Verdict")]
    blocks = [escape(retell(found.conclusion)), tabulate(header, rows, (2, 3, 4))]
    return [*blocks, write_markdown_list([*map(retell, found.findings)]) if found.findings else ""]


def write_training(run: Run) -> list[str]:
    """The row of the guides' table of trainings; empty where the run did not train."""
    training = run.training
    if training is None or not training.epochs:
        return []
    last = training.epochs[-1]
    torch = training.environment.versions.get("torch", NOTHING)
    top1 = NOTHING if last.val_top1 is None else f"{100 * last.val_top1:.3f}"
    name = f"{training.world_size}p-{training.device}"
    rate, note = _measure_training(training)
    row = [name, top1, rate, str(len(training.epochs)), training.precision, torch]
    header = ["NAME", "Acc@1", "FPS", "Epochs", "AMP_Type", "Torch_Version"]
    return [tabulate(header, [row], (1, 2, 3)), note]


def _measure_training(training: TrainingRecord) -> tuple[str, str]:
    """The mean rate, and a note on it; epochs before a resume may have been on other devices."""
    if training.resumed:
        note = say("Acc@1 is of the last epoch on held-out images; FPS is of its last devices, as it was resumed.")
        return NOTHING if training.speed is None else write_exact(training.speed.images_per_s, 3), note
    rate = sum(e.images_per_s * e.seconds for e in training.epochs) / sum(e.seconds for e in training.epochs)
    note = say("Acc@1 is of the last epoch on held-out images; FPS is the mean over all epochs, without validation.")
    return write_exact(rate, 3), note
