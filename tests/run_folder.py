"""A small run folder made of real records, for tests of whatever reads one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seatrial.metrics.classification import measure_all
from seatrial.metrics.topk import TopK
from seatrial.recipes import load_recipe
from seatrial.store.files import hash_file
from seatrial.store.measurement import Environment, Measurement, Point, Throughput
from seatrial.store.records import (
    AccuracyRecord,
    CheckpointManifest,
    Comparison,
    EngineManifest,
    EngineModel,
    GateResult,
    GraphManifest,
    RunManifest,
    StepParity,
    TensorSpec,
    Verdict,
)
from seatrial.store.training import Epoch, TrainingRecord

CLASSES = 10
MACHINE = Environment(
    cpu="Intel(R) Xeon(R) Platinum 8488C",
    cpu_flags=("avx2", "avx512f", "avx512_vnni", "amx_bf16", "amx_int8"),
    cores=2,
    memory_bytes=16 * 2**30,
    system="Linux 6.12 x86_64",
    python="3.12.11",
    versions={"seatrial": "0.1.0", "torch": "2.15.0", "onnxruntime": "1.31.0", "openvino": "2026.3.0"},
)


@dataclass(frozen=True)
class Ship:
    """One engine of the run: which images it gets wrong, and how long a batch takes it."""

    name: str
    engine: str
    precision: str = "fp32"
    executed: Mapping[str, int] = field(default_factory=dict)
    wrong: frozenset[int] = frozenset()
    """Rows whose first answer is the class after the label; in even ones the label comes second, in odd ones never."""
    batch_ms: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    """Samples by batch size; split over two points."""
    doubts: tuple[str, ...] = ()


TORCH = Ship("torch", "torch", wrong=frozenset(range(24)), batch_ms={1: (50.0, 48.0, 52.0, 50.0), 4: (190.0, 210.0)})
ORT = Ship(
    "onnxruntime",
    "onnxruntime",
    wrong=frozenset(range(24)),
    batch_ms={1: (30.0, 28.0, 32.0, 30.0), 4: (110.0, 130.0)},
)
BF16 = Ship(
    "openvino-bf16",
    "openvino",
    "bf16",
    {"bf16": 53, "fp32": 4},
    wrong=frozenset(range(1, 25)),
    batch_ms={1: (8.0, 8.2, 7.8, 8.0), 4: (24.0, 26.0)},
    doubts=("the first half of the samples is 6 % faster than the second",),
)
INT8 = Ship(
    "openvino-int8",
    "openvino",
    "int8",
    {"int8": 50, "fp32": 7},
    wrong=frozenset(range(20, 64)),
    batch_ms={1: (4.0, 4.2, 3.8, 4.0), 4: (12.0, 13.0)},
)


@dataclass(frozen=True)
class Trial:
    """What a test wants of the run; everything has a plain default."""

    ships: tuple[Ship, ...] = (TORCH, ORT, BF16)
    images: int = 540
    gate_pp: float = 1.0
    title: str = "ResNet-50 v1.5 on coloured digits"
    command: str = "seatrial run digits.toml --checkpoint digits.pth --images val --engines onnxruntime,openvino:bf16"
    image_name: str = "digit_{:05d}.png"
    trained: bool = False


def build_run(folder: Path, trial: Trial | None = None) -> Path:
    """Write a whole run folder, judged by its gate; delete from it what a test does not want."""
    trial = trial or Trial()
    recipe = _recipe(trial)
    names = tuple(ship.name for ship in trial.ships)
    RunManifest(
        recipe=recipe,
        spec={"engines": list(names)},
        command=trial.command,
        inputs={"digits.pth": "a" * 64, "val": "b" * 64},
        engines=names,
        environment=MACHINE,
        checkpoint="digits.pth",
        images="val",
    ).save(folder / "run.json")
    _checkpoint().save(folder / "checkpoint.safetensors.json")
    graph = _graph(recipe)
    graph.save(folder / "model.onnx.json")
    gates = []
    for ship in trial.ships:
        _built(ship, graph).save(folder / "engines" / ship.name / "engine.json")
        record = _evaluate(folder / "evaluation", ship, trial)
        _pace(ship, trial).save(folder / "evaluation" / f"{ship.name}.throughput.json")
        record.save(folder / "evaluation" / f"{ship.name}.json")
        _measure(ship).save(folder / "bench" / f"{ship.name}.json")
        if record.versus:
            gates.append(_judge(record.versus, ship.name, trial.gate_pp))
    write_verdict(folder, gates)
    if trial.trained:
        _training().save(folder / "train" / "train.json")
    return folder


def write_verdict(folder: Path, gates: list[GateResult]) -> None:
    """Judge the run by these gates; without any it is inconclusive."""
    found = {gate.outcome for gate in gates}
    outcome = "FAIL" if "FAIL" in found else "PASS" if found == {"PASS"} else "INCONCLUSIVE"
    code = {"PASS": 0, "FAIL": 3, "INCONCLUSIVE": 7}[outcome]
    run = RunManifest.load(folder / "run.json").identity
    Verdict(recipe="digits", outcome=outcome, exit_code=code, gates=tuple(gates), run=run).save(folder / "verdict.json")


def compare_rows(reference: str, ours: frozenset[int], theirs: frozenset[int], images: int) -> Comparison:
    """Counts of two sets of wrong rows; the bounds are Wald's, wide enough for a fixture."""
    lost, gained = len(ours - theirs), len(theirs - ours)
    half = 1.645 * math.sqrt(lost + gained - (lost - gained) ** 2 / images) / images if lost + gained else 1 / images
    drop = (lost - gained) / images
    tail = sum(math.comb(lost + gained, k) for k in range(min(lost, gained) + 1)) / 2 ** (lost + gained)
    return Comparison(
        reference=reference,
        images=images,
        both_right=images - len(ours | theirs),
        lost=lost,
        gained=gained,
        changed=lost + gained,
        drop_pp=100 * drop,
        low_pp=100 * (drop - half),
        high_pp=100 * (drop + half),
        p_value=min(1.0, 2 * tail),
    )


def _judge(versus: Comparison, name: str, gate_pp: float) -> GateResult:
    outcome = "PASS" if versus.high_pp < gate_pp else "FAIL" if versus.low_pp > gate_pp else "INCONCLUSIVE"
    reason = (
        f"the drop is {versus.drop_pp:.2f} points (at most {versus.high_pp:.2f} with 95 % confidence), "
        f"{gate_pp:.2f} allowed"
    )
    return GateResult(gate="reference_drop_pp", engine=name, outcome=outcome, kind="accuracy", reason=reason)


def _recipe(trial: Trial) -> dict[str, object]:
    card = load_recipe("resnet50").model_dump(mode="json", exclude_none=True)
    card["network"] |= {"classes": CLASSES}
    del card["labels"]
    card["gates"] = {"reference_drop_pp": trial.gate_pp}
    return card | {"name": "digits", "title": trial.title}


def _checkpoint() -> CheckpointManifest:
    return CheckpointManifest(
        recipe="digits",
        network="resnet50",
        source="digits.pth",
        source_sha256="a" * 64,
        sha256="c" * 64,
        parameters=23528522,
        layout="dict['state_dict'], keys 'module.*'",
        filled=(),
    )


def _graph(recipe: dict[str, object]) -> GraphManifest:
    return GraphManifest(
        key="d" * 64,
        recipe=recipe,
        checkpoint="checkpoint.safetensors",
        checkpoint_sha256="c" * 64,
        sha256=_graph_sha256(TORCH),
        opset=17,
        exporter="torchscript",
        simplified=True,
        fused=True,
        input=TensorSpec(name="image", dtype="uint8", shape=(None, 256, 256, 3), layout="NHWC"),
        output=TensorSpec(name="class", dtype="float32", shape=(None, CLASSES), layout="NC"),
        preprocess_hash="f" * 64,
        parity=(
            StepParity(step="export", images=16, relative_error=8.1e-7, largest_error=6.2e-6, top1_disagreements=0),
            StepParity(step="simplify", images=16, relative_error=0.0, largest_error=0.0, top1_disagreements=0),
        ),
        versions={"torch": "2.15.0"},
    )


def _graph_sha256(ship: Ship) -> str:
    return ("9" if ship.precision == "int8" else "e") * 64


def _built(ship: Ship, graph: GraphManifest) -> EngineManifest:
    if ship.precision == "int8":
        moved = StepParity(step="quantize", images=16, relative_error=0.043, largest_error=0.61, top1_disagreements=1)
        graph = graph.model_copy(
            update={
                "sha256": _graph_sha256(ship),
                "origin": graph.sha256,
                "precision": "int8",
                "parity": (*graph.parity, moved),
            }
        )
    return EngineManifest(
        key="1" * 64,
        engine=ship.engine,
        sdk_version=MACHINE.versions[ship.engine],
        device="cpu",
        precision=ship.precision,
        executed=dict(ship.executed),
        options={"threads": "2"} if ship.engine == "openvino" else {},
        files=(EngineModel(path="model.bin", sha256="2" * 64, batch_size=None),),
        companions={},
        input=graph.input,
        output=graph.output,
        graph=graph,
    )


def _evaluate(folder: Path, ship: Ship, trial: Trial) -> AccuracyRecord:
    labels = np.arange(trial.images, dtype=np.int32) % CLASSES
    rows = np.arange(trial.images)
    first = labels + np.isin(rows, list(ship.wrong))
    onward = np.where(rows % 2 == 0, -1, 1)
    ranked = ((first[:, None] + onward[:, None] * np.arange(5)) % CLASSES).astype(np.int32)
    _write_predictions(folder / f"{ship.name}.parquet", ranked, labels, trial.image_name)
    hits = TopK.of(ranked, labels).hits
    reference = trial.ships[0]
    return AccuracyRecord(
        key="3" * 64,
        name=ship.name,
        engine=ship.engine,
        device="cpu",
        precision=ship.precision,
        executed=dict(ship.executed),
        recipe="digits",
        checkpoint_sha256="c" * 64,
        graph_sha256=_graph_sha256(ship),
        preprocess_hash="f" * 64,
        images=trial.images,
        classes=CLASSES,
        hits=hits,
        metrics=measure_all(labels, ranked, np.zeros(ranked.shape, np.float32)),
        batch_size=4,
        predictions=f"{ship.name}.parquet",
        predictions_sha256=hash_file(folder / f"{ship.name}.parquet"),
        versus=None if ship is reference else compare_rows(reference.name, ship.wrong, reference.wrong, trial.images),
        environment=MACHINE,
    )


def _pace(ship: Ship, trial: Trial) -> Throughput:
    return Throughput(
        key="3" * 64,
        name=ship.name,
        images=trial.images,
        wall_s=trial.images / 100,
        images_per_s=100.0,
        batch_size=4,
        decode_workers=2,
        streams=2,
        decode_s=1.0,
        run_s=2.0,
        first_prediction_s=0.1,
        attempts=1,
        peak_rss_bytes=2**29,
    )


def wilson(hits: int, images: int) -> tuple[float, float]:
    """Wilson's 95 % score interval."""
    z, share = 1.959964, hits / images
    centre = share + z * z / (2 * images)
    half = z * math.sqrt(share * (1 - share) / images + z * z / (4 * images**2))
    return (centre - half) / (1 + z * z / images), (centre + half) / (1 + z * z / images)


def _write_predictions(path: Path, ranked: np.ndarray, labels: np.ndarray, image_name: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scores = np.broadcast_to(np.linspace(9, 1, ranked.shape[1], dtype=np.float32), ranked.shape)
    columns = {
        "id": pa.array([image_name.format(row) for row in range(len(labels))]),
        "label": pa.array(labels),
        "classes": pa.FixedSizeListArray.from_arrays(pa.array(ranked.ravel()), ranked.shape[1]),
        "scores": pa.FixedSizeListArray.from_arrays(pa.array(scores.ravel()), ranked.shape[1]),
    }
    pq.write_table(pa.table(columns), path)


def _measure(ship: Ship) -> Measurement:
    return Measurement(
        key="4" * 64,
        name=ship.name,
        engine=ship.engine,
        device="cpu",
        precision=ship.precision,
        executed=dict(ship.executed),
        recipe="digits",
        graph_sha256=_graph_sha256(ship),
        preprocess_hash="f" * 64,
        inputs="val",
        points=tuple(make_point(size, half) for size, ms in ship.batch_ms.items() for half in (ms[::2], ms[1::2])),
        doubts=ship.doubts,
        environment=MACHINE,
    )


def make_point(batch_size: int, durations_ms: tuple[float, ...], streams: int = 1) -> Point:
    """One process's samples, one after the other on each of its streams."""
    ends = [0.0] * streams
    starts = []
    for index, ms in enumerate(durations_ms):
        starts.append(ends[index % streams])
        ends[index % streams] += ms / 1000
    return Point(
        batch_size=batch_size,
        streams=streams,
        load_s=0.4,
        first_inference_ms=120.0,
        warmup=10,
        starts_s=tuple(starts),
        durations_ms=durations_ms,
        peak_rss_bytes=600 * 2**20,
    )


def _training() -> TrainingRecord:
    epochs = tuple(
        Epoch(
            epoch=n,
            loss=2.3 / n,
            train_top1=1 - 0.7 / n,
            val_top1=1 - 0.6 / n,
            learning_rate=0.1 / n,
            images_per_s=75.0,
            seconds=16.8,
        )
        for n in range(1, 8)
    )
    return TrainingRecord(
        key="5" * 64,
        recipe="digits",
        checkpoint="digits.pth",
        checkpoint_sha256="a" * 64,
        settings={"epochs": 7},
        precision="bf16",
        epochs=epochs,
        environment=MACHINE,
    )
