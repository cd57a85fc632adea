"""Records of training speed with figures that are easy to reckon with."""

from typing import Any

from seatrial.machine.environment import read_environment
from seatrial.recipes.training import Train
from seatrial.store.measurement import Environment
from seatrial.store.training import TrainingSpeedRecord


def make_environment(torch: str = "2.10.0", **changes: Any) -> Environment:
    """This machine with some torch."""
    return read_environment(()).model_copy(update={"versions": {"torch": torch}, **changes})


def make_speed(**changes: Any) -> TrainingSpeedRecord:
    """20 steps of 8 images in 0.4 s, a quarter of which was waited: 20 images/s."""
    facts: dict[str, Any] = {
        "name": "1p-CPU",
        "recipe": "resnet50",
        "device": "cpu",
        "processes": 1,
        "batch_size": 8,
        "size": (32, 32),
        "precision": "bf16",
        "synthetic": True,
        "settings": Train().model_dump(mode="json"),
        "excluded": 10,
        "images": (8,) * 20,
        "data_s": (0.1,) * 20,
        "compute_s": (0.3,) * 20,
        "epochs": 1,
        "top1": 0.5,
        "loss": 1.0,
        "wall_s": 12.4,
        "environment": make_environment(),
    }
    return TrainingSpeedRecord(**{**facts, **changes})


def make_cards(cards: int, step_s: float, **changes: Any) -> TrainingSpeedRecord:
    """As many NPUs, 512 images each, every step as long."""
    facts: dict[str, Any] = {
        "name": f"{cards}p-NPU",
        "device": "npu",
        "processes": cards,
        "batch_size": 512 * cards,
        "images": (512 * cards,) * 20,
        "data_s": (0.0,) * 20,
        "compute_s": (step_s,) * 20,
        "precision": "fp16",
    }
    return make_speed(**{**facts, **changes})
