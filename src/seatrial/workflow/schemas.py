"""`seatrial recipes schema`: JSON Schemas of a card and of every record that a run leaves, made from their types."""

from pkgutil import resolve_name
from typing import Any

from seatrial.strict import Strict, check_name

SCHEMAS = {
    "card": "seatrial.recipes.schema:Recipe",
    "run": "seatrial.store.records:RunManifest",
    "checkpoint": "seatrial.store.records:CheckpointManifest",
    "graph": "seatrial.store.records:GraphManifest",
    "engine": "seatrial.store.records:EngineManifest",
    "accuracy": "seatrial.store.records:AccuracyRecord",
    "measurement": "seatrial.store.measurement:Measurement",
    "throughput": "seatrial.store.measurement:Throughput",
    "flips": "seatrial.store.flips:FlipsRecord",
    "preprocessing": "seatrial.store.preprocessing_proof:PreprocessingProof",
    "training": "seatrial.store.training:TrainingRecord",
    "training-speed": "seatrial.store.training:TrainingSpeedRecord",
    "reported": "seatrial.store.imported:ReportedRecord",
    "verdict": "seatrial.store.records:Verdict",
    "summary": "seatrial.store.summary:RunSummary",
    "diagnosis": "seatrial.store.diagnosis:Diagnosis",
    "choice": "seatrial.store.choice:Choice",
    "package": "seatrial.store.package:PackageManifest",
    "run-many": "seatrial.store.run_many:RunManyRecord",
}
"""By name, the type of what is stored. A record's file has a `checksum` beside these keys (`store.record`)."""


def make_schema(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a card or a record.

    Raises:
        UsageError: there is none of that name.
    """
    check_name(name, SCHEMAS, f"there is no schema '{name}'")
    model: type[Strict] = resolve_name(SCHEMAS[name])
    made = model.model_json_schema(by_alias=True)
    if name != "card":
        checksum = {"description": "sha256 of all else.", "type": "string", "pattern": "^[0-9a-f]{64}$"}
        made["properties"] = {**made["properties"], "checksum": checksum}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}
