"""What is known of a training's speed, from a record of ours or from the `{CaseName}.log` of the training guide."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seatrial.errors import RefusedFile
from seatrial.foreign.files import open_regular
from seatrial.machine.environment import machine_hash
from seatrial.metrics.rate import find_rate_interval
from seatrial.results.speed import Rate
from seatrial.store.training import TrainingSpeedRecord
from seatrial.train.tracking.guide_log import NETWORKS, read_case

UNSTATED = "its log states no device, precision, versions or image size"


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """One training; None is not stated."""

    name: str
    recipe: str
    cards: int
    batch_size: int
    """Images of a step, over all processes."""
    rate: Rate
    """Images per second of all devices together."""
    top1: float | None
    """Accuracy of the last validation."""
    doubts: tuple[str, ...]
    device: str | None = None
    processes: int | None = None
    precision: str | None = None
    epochs: int | None = None
    torch: str | None = None
    machine: str | None = None
    """The first digits of its hash."""
    size: tuple[int, int] | None = None
    synthetic: bool | None = None
    data_share: float | None = None
    """Share of the time that was spent waiting for images, 0..1."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Empty where none are stated."""


def describe_record(speed: TrainingSpeedRecord) -> TrainingFacts:
    """A record of `train --performance`."""
    return TrainingFacts(
        name=speed.name,
        recipe=speed.recipe,
        cards=speed.cards,
        batch_size=speed.batch_size,
        rate=Rate(speed.images_per_s, find_rate_interval(speed.images, speed.seconds)),
        top1=speed.top1,
        doubts=speed.doubts,
        device=speed.device,
        processes=speed.processes,
        precision=speed.precision,
        epochs=speed.epochs,
        torch=speed.environment.versions.get("torch"),
        machine=machine_hash(speed.environment)[:8],
        size=speed.size,
        synthetic=speed.synthetic,
        data_share=speed.data_share,
        settings=speed.settings,
    )


def load_training(path: Path) -> TrainingFacts:
    """A record of `train --performance`, or a `{CaseName}.log`.

    Raises:
        UsageError: it is another record.
        RefusedFile: it is damaged, or a log without a rate.
    """
    with open_regular(path) as file:
        is_record = file.read(64).lstrip().startswith(b"{")
    return describe_record(TrainingSpeedRecord.load(path)) if is_record else _read_log(path)


def _read_log(path: Path) -> TrainingFacts:
    facts = read_case(path)
    network, accuracy = facts["Network"], facts.get("TrainAccuracy", "")
    named = next((name for name, theirs in NETWORKS.items() if network in theirs), None)
    return TrainingFacts(
        name=facts["CaseName"],
        recipe=named or network.removesuffix("_for_PyTorch"),
        cards=int(_read_number(path, facts, "RankSize", r"[1-9]\d{0,5}")),
        batch_size=int(_read_number(path, facts, "BatchSize", r"[1-9]\d{0,8}")),
        rate=Rate(float(_read_number(path, facts, "ActualFPS", r"(?=.*[1-9])\d+(\.\d+)?"))),
        top1=float(accuracy) / 100 if re.fullmatch(r"\d+(\.\d+)?", accuracy) else None,
        doubts=(UNSTATED,),
        precision="fp32" if "_fp32_" in facts["CaseName"] else None,
    )


def _read_number(path: Path, facts: Mapping[str, str], key: str, form: str) -> str:
    value = facts.get(key, "")
    if not re.fullmatch(form, value):
        given = f"has {key} = {value}" if value else f"has no {key}"
        raise RefusedFile(f"{path} {given}, so it is no log of a training's speed", "give the log of a whole training")
    return value
