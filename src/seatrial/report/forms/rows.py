"""Figures of a run by stable names with their units, in full precision: what the formats for programs hold."""

from collections.abc import Mapping
from typing import Any

from seatrial.report.headline import outcome_of
from seatrial.report.speed import all_speeds, best_speeds, find_ratio
from seatrial.results.energy import METERS
from seatrial.results.run_folder import Run
from seatrial.results.speed import Speed
from seatrial.store.measurement import EnergyScope

Value = str | int | float | bool | None
NOT_JUDGED = "NOT JUDGED"
"""In the place of an outcome, of a run and of an engine without gates."""


def _name_energy(meter: EnergyScope) -> str:
    """The column of a meter's joules, such as `joules_per_image_gpu_board`."""
    return f"joules_per_image_{meter.lower().replace(' ', '_')}"


ENGINE_COLUMNS: Mapping[str, str] = {
    "recipe": "name of the card",
    "engine": "the engine's name in the run",
    "reference": "name of the engine that the others are compared with",
    "runtime": "what executes it, with its version",
    "device": "the device that it was compiled for",
    "precision": "the precision requested",
    "outcome": f"the worst of its gates, or {NOT_JUDGED} where it has none",
    "images": "images evaluated",
    "top1": "top-1 accuracy, 0 to 1",
    "top5": "top-5 accuracy, 0 to 1; fewer than 5 classes: of all of them",
    "drop_pp": "top-1 of the reference minus top-1, in percentage points",
    "drop_low_pp": "lower one-sided 95 % bound of the drop",
    "drop_high_pp": "upper one-sided 95 % bound of the drop",
    "lost_images": "images right in the reference and wrong here",
    "gained_images": "images wrong in the reference and right here",
    "changed_images": "images with another first class than the reference's",
    "agreement": "share of images with the reference's first class, 0 to 1",
    "agreement_low": "lower one-sided 95 % bound of the agreement",
    "agreement_high": "upper one-sided 95 % bound of the agreement",
    "weighted_flips": "flips weighted by the reference's margin, 0 to 1",
    "confidence_drift": "mean change of the confidence in the first class",
    "evaluation_images_per_s": "images per second of the whole evaluation, files read and decoded",
    "times_reference": "best images/s over those of the reference; empty where withheld or not comparable",
}
"""What is known of an engine, by column."""
SPEED_COLUMNS: Mapping[str, str] = {
    "batch_size": "images in one call",
    "streams": "batches in the engine at the same time",
    "scope": "what the times cover: host is array in, logits out",
    "images_per_s": "images per second",
    "images_per_s_low": "lower end of its 95 % interval",
    "images_per_s_high": "upper end of its 95 % interval",
    "median_ms": "half of the calls took at most this, in milliseconds",
    "p90_ms": "90 % of the calls took at most this",
    "p99_ms": "99 % of the calls took at most this",
    "samples": "calls that were timed",
    **{_name_energy(meter): f"joules an image: {measures}" for meter, measures in METERS.items()},
    "best": "the most images per second of this engine",
    "withheld": "why the rate may be no end of a ratio; empty where nothing speaks against it",
}
"""What is known of one of its batch sizes, by column."""


def list_engine(run: Run, name: str) -> dict[str, Value]:
    """An engine's figures, None where there is no record of them."""
    accuracy, built, measured = run.accuracy.get(name), run.built.get(name), run.measurements.get(name)
    versus, pace = accuracy.versus if accuracy else None, run.throughput.get(name)
    compared, agreement = (accuracy.compared, accuracy.agreement) if accuracy else (None, None)
    record = built or accuracy or measured
    values: tuple[Value, ...] = (
        run.recipe.name,
        name,
        run.reference,
        f"{built.engine} {built.sdk_version}" if built else record.engine if record else None,
        record.device if record else None,
        record.precision if record else None,
        outcome_of(run, name) or NOT_JUDGED,
        accuracy.images if accuracy else None,
        accuracy.accuracy(1) if accuracy else None,
        accuracy.accuracy(5) if accuracy else None,
        *((versus.drop_pp, versus.low_pp, versus.high_pp) if versus else (None,) * 3),
        *((versus.lost, versus.gained) if versus else (None,) * 2),
        compared.changed if compared else None,
        *((agreement.share, agreement.low, agreement.high) if agreement else (None,) * 3),
        *((agreement.weighted_flips, agreement.confidence_drift) if agreement else (None,) * 2),
        pace.images_per_s if pace else None,
        find_ratio(run, best_speeds(run), name, run.reference),
    )
    return dict(zip(ENGINE_COLUMNS, values, strict=True))


def list_speeds(run: Run, name: str) -> list[dict[str, Value]]:
    """An engine's speed at each batch size."""
    best = best_speeds(run)
    return [_list_speed(speed, speed == best[name]) for speed in all_speeds(run).get(name, ())]


def _list_speed(speed: Speed, is_best: bool) -> dict[str, Value]:
    times = speed.latency
    low, high = speed.rate.bounds or (None, None)
    values: tuple[Value, ...] = (
        times.batch_size,
        speed.streams,
        speed.scope,
        speed.images_per_s,
        low,
        high,
        times.median_ms,
        times.p90_ms,
        times.p99_ms,
        times.samples,
        *(speed.joules_per_image.get(meter) for meter in METERS),
        is_best,
        speed.rate.doubt,
    )
    return dict(zip(SPEED_COLUMNS, values, strict=True))


def list_run(run: Run) -> dict[str, Any]:
    """What is known of the run as a whole."""
    verdict = run.verdict
    return {
        "recipe": run.recipe.name,
        "title": run.recipe.title,
        "outcome": verdict.outcome if verdict else NOT_JUDGED,
        "exit_code": int(verdict.exit_code) if verdict else None,
        "reference": run.reference,
        "command": run.manifest.command,
        "inputs": dict(run.manifest.inputs),
        "machine": run.manifest.environment.model_dump(mode="json"),
    }
