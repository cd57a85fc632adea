"""Records of other tools' figures, as a test wants them."""

from collections.abc import Mapping

from seatrial.store.imported import ImportedPoint, ImportedRecord, LogFile
from seatrial.store.measurement import Scope


def make_imported(name: str, rates: Mapping[tuple[Scope, int | None], float], **facts: object) -> ImportedRecord:
    """A record with these images/s of one chip, by scope and batch size."""
    told = {"tool": "trtexec", "tool_version": None, "model": "resnet50.onnx", "device": name, "precision": "fp16"}
    told |= {"chips_per_card": None, "doubts": ()} | facts
    points = tuple(
        ImportedPoint(
            file="log",
            batch_size=size,
            streams=1,
            scope=scope,
            scope_because="it is said",
            images_per_s=rate,
            images_per_s_because="it is said",
            lines={},
        )
        for (scope, size), rate in rates.items()
    )
    return ImportedRecord.model_validate(
        {"name": name, "files": (LogFile(name="log", sha256="0" * 64, size_bytes=1),), "points": points} | told
    )
