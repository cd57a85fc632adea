"""Faults in what a trial stores: weights, run folders, predictions, engines and records."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from planted_bench import Bench, Fault, Tried, edit_json
from safetensors.torch import load_file, save_file

from seatrial.store.files import hash_file

State = dict[str, torch.Tensor]


def list_stored_faults() -> Iterator[Fault]:
    """All but those of engines and graphs."""
    yield from _list_weights()
    yield from _list_stale()
    yield from _list_predictions()
    yield from _list_records()
    yield Fault("a sound run", "run", lambda bench: bench.run(bench.trial), True)
    yield Fault("a sound run again", "run", lambda bench: bench.run(bench.trial, bench.copy_run()), True)
    yield Fault("a sound run's report again", "report", lambda bench: bench.report(bench.copy_run()), True)
    yield Fault("a sound engine again", "evaluate", _evaluate_again, True)


def _evaluate_again(bench: Bench) -> Tried:
    run = bench.copy_run()
    reference = run / "evaluation" / "torch.parquet"
    bench.judge(run / "engines" / "openvino", reference)
    return Tried.of(bench.judge(run / "engines" / "openvino", reference))


def write_weights(bench: Bench, change: Callable[[State], State]) -> Path:
    """A checkpoint with other weights, in a file of its own."""
    path = bench.place / "weights.safetensors"
    save_file(change(load_file(bench.trial.checkpoint)), path)
    return path


def _list_weights() -> Iterator[Fault]:
    for name, change in (("untrained", make_untrained), ("first layer in BGR", _swap_channels)):
        yield Fault(f"weights: {name}", "run", lambda bench, change=change: _run_weights(bench, change))
    yield Fault("weights: a file cut off", "run", lambda bench: bench.run(bench.trial.but(checkpoint=_cut(bench))))
    yield Fault("weights: a flipped bit beside their manifest", "run", _flip_weight)
    yield Fault("weights: not of the card's sha256", "run", lambda bench: _name_other_hash(bench, "run"))
    yield Fault("weights: not of the card's sha256", "export", lambda bench: _name_other_hash(bench, "export"))


def make_untrained(state: State) -> State:
    """The same network with fresh weights."""
    from timm import create_model

    torch.manual_seed(1)
    return dict(create_model("test_resnet", num_classes=10).state_dict())


def _swap_channels(state: State) -> State:
    first = next(key for key, tensor in state.items() if tensor.ndim == 4 and tensor.shape[1] == 3)
    return {**state, first: state[first].flip(1).contiguous()}


def shake(state: State) -> State:
    """Weights so near that top-1 hardly moves: another epoch's, say."""
    torch.manual_seed(1)
    return {k: t * (1 + 0.02 * torch.randn_like(t)) if t.ndim == 4 else t for k, t in state.items()}


def _run_weights(bench: Bench, change: Callable[[State], State]) -> Tried:
    return bench.run(bench.trial.but(checkpoint=write_weights(bench, change)))


def _cut(bench: Bench) -> Path:
    path = bench.place / "cut.safetensors"
    path.write_bytes(bench.trial.checkpoint.read_bytes()[:-1000])
    return path


def _flip_weight(bench: Bench) -> Tried:
    """The highest bit of a weight's mantissa, in the middle of the file that `export` stored with its manifest."""
    stored = bench.floats / "model.safetensors"
    path = Path(shutil.copy(stored, bench.place / stored.name))
    shutil.copy(stored.with_name(stored.name + ".json"), bench.place)
    data = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    data[start + (len(data) - start) // 8 * 4 + 2] ^= 0x40
    path.write_bytes(data)
    return bench.run(bench.trial.but(checkpoint=path))


def _name_other_hash(bench: Bench, verb: str) -> Tried:
    told = f'[weights]\nfile = "{bench.trial.checkpoint.name}"\nsha256 = "{hash_file(bench.trial.card)}"\n'
    card = bench.trial.edit_card(bench.place / "inks.toml", lambda text: text + told)
    if verb == "run":
        return bench.run(bench.trial.but(card=card))
    output = bench.place / "model.onnx"
    return Tried.of(bench.cli.run("export", card, "--checkpoint", bench.trial.checkpoint, "--output", output))


def _list_stale() -> Iterator[Fault]:
    yield Fault("run again with a checkpoint that is refused", "report", _rerun_refused)
    yield Fault("run again with other weights, killed", "report", _rerun_killed)
    yield Fault("run again with other labels, killed", "report", _relabel_killed)
    yield Fault("run again with a stricter gate, killed", "report", _regate_killed)


def _rerun_refused(bench: Bench) -> Tried:
    """The old run may stand, whole and under its own inputs: its verdict is theirs."""
    run = bench.copy_run()
    named = (run / "run.json").read_bytes()
    bench.cli.run(*bench.trial.but(checkpoint=_cut(bench)).run_words(run))
    tried = bench.report(run)
    return replace(tried, silent=tried.silent and (run / "run.json").read_bytes() != named)


def _rerun_killed(bench: Bench) -> Tried:
    run, trial = bench.copy_run(), bench.trial.but(checkpoint=write_weights(bench, make_untrained))
    bench.cli.kill_at("checkpoint", *trial.run_words(run))
    return bench.report(run)


def _relabel_killed(bench: Bench) -> Tried:
    run, labels = bench.copy_run(), bench.place / "labels.txt"
    labels.write_text("".join(f"{n} {(k + 1) % 10}\n" for n, k in bench.trial.read_labels().items()))
    bench.cli.kill_at("compile", *bench.trial.but(labels=labels).run_words(run))
    return bench.report(run)


def _regate_killed(bench: Bench) -> Tried:
    run, card = bench.copy_run(), bench.place / "inks.toml"
    bench.trial.edit_card(card, lambda text: text.replace("reference_drop_pp = 3.0", "reference_drop_pp = 0.01"))
    bench.cli.kill_at("checkpoint", *bench.trial.but(card=card).run_words(run))
    return bench.report(run)


def _list_predictions() -> Iterator[Fault]:
    for name, spoil in (
        ("a fifth of the scores NaN", _spoil_scores),
        ("the same class five times", _repeat_class),
        ("ids repeated with other classes", _repeat_ids),
        ("ids of another set", _rename_ids),
    ):
        yield Fault(f"reference: {name}", "evaluate", lambda bench, spoil=spoil: _judge_against(bench, spoil))
    yield Fault("predictions: scores unsorted", "compare", lambda bench: _compare_spoilt(bench, _turn_scores))
    yield Fault(
        "predictions: a fifth of the scores NaN", "compare", lambda bench: _compare_spoilt(bench, _spoil_scores)
    )


def _write_spoilt(bench: Bench, name: str, spoil: Callable[[pa.Table], pa.Table]) -> Path:
    table = pq.read_table(bench.sound / "evaluation" / f"{name}.parquet")
    pq.write_table(spoil(table), bench.place / f"{name}.parquet")
    return bench.place / f"{name}.parquet"


def _judge_against(bench: Bench, spoil: Callable[[pa.Table], pa.Table]) -> Tried:
    return Tried.of(bench.judge(bench.sound / "engines" / "onnxruntime", _write_spoilt(bench, "torch", spoil)))


def _compare_spoilt(bench: Bench, spoil: Callable[[pa.Table], pa.Table]) -> Tried:
    reference = bench.sound / "evaluation" / "torch.parquet"
    return Tried.of(bench.cli.run("compare", reference, _write_spoilt(bench, "onnxruntime", spoil), "--gate-pp", "3"))


def _change(table: pa.Table, name: str, change: Callable[[np.ndarray], np.ndarray]) -> pa.Table:
    """A table with other lists in one of its columns."""
    old = table[name]
    values = change(np.array(old.to_pylist(), dtype=old.type.value_type.to_pandas_dtype()))
    lists = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    return table.set_column(table.column_names.index(name), name, lists)


def _spoil_scores(table: pa.Table) -> pa.Table:
    fifth = (np.arange(len(table)) % 5 == 0)[:, None]
    return _change(table, "scores", lambda scores: np.where(fifth, np.float32(np.nan), scores))


def _turn_scores(table: pa.Table) -> pa.Table:
    return _change(table, "scores", lambda scores: scores[:, ::-1])


def _repeat_class(table: pa.Table) -> pa.Table:
    return _change(table, "classes", lambda classes: np.repeat(classes[:, :1], classes.shape[1], axis=1))


def _repeat_ids(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, _change(table.slice(0, 40), "classes", lambda classes: classes[:, ::-1])])


def _rename_ids(table: pa.Table) -> pa.Table:
    return table.set_column(table.column_names.index("id"), "id", pa.array([f"x{i}" for i in table["id"].to_pylist()]))


def _list_records() -> Iterator[Fault]:
    for name, file, change in (
        ("hits in the accuracy record", "evaluation/onnxruntime.json", _edit_hits),
        ("checkpoint's hash in run.json", "run.json", _edit_inputs),
        ("samples of the speed record", "bench/onnxruntime.json", _edit_samples),
        ("executed layers in engine.json", "engines/onnxruntime/engine.json", _edit_executed),
        ("gate in run.json's card", "run.json", _edit_gate),
    ):
        yield Fault(f"edited: {name}", "report", lambda bench, f=file, c=change: _report_edited(bench, f, c))
        if name.startswith(("hits", "samples")):
            yield Fault(f"edited: {name}", "run", lambda bench, f=file, c=change: _run_edited(bench, f, c))
    yield Fault("edited: verdict.json of a run that failed", "report", _edit_verdict)
    yield Fault("edited: Parquet beside its record", "report", _edit_parquet)


def _edit_hits(record: dict[str, Any]) -> None:
    record["hits"] = [record["images"]] * len(record["hits"])


def _edit_inputs(record: dict[str, Any]) -> None:
    path = next(path for path in record["inputs"] if path.endswith(".safetensors"))
    record["inputs"][path] = "0" * 64


def _edit_samples(record: dict[str, Any]) -> None:
    for point in record["points"]:
        point["durations_ms"] = [duration / 10 for duration in point["durations_ms"]]


def _edit_executed(record: dict[str, Any]) -> None:
    record["executed"] = {"int8": sum(record["executed"].values())}


def _edit_gate(record: dict[str, Any]) -> None:
    record["recipe"]["gates"]["reference_drop_pp"] = 0.01


def _report_edited(bench: Bench, file: str, change: Callable[[dict[str, Any]], None]) -> Tried:
    run = bench.copy_run()
    edit_json(run / file, change)
    return bench.report(run)


def _run_edited(bench: Bench, file: str, change: Callable[[dict[str, Any]], None]) -> Tried:
    """A run that notices the edit and makes the record again has mended it."""
    run = bench.copy_run()
    edit_json(run / file, change)
    before = (run / file).read_text()
    tried = bench.run(bench.trial, run)
    kept = all((run / file).is_file() and _has(run / file, before, key) for key in ("hits", "points"))
    return Tried(tried.code, tried.outcome, tried.reason, tried.silent and kept)


def _has(path: Path, before: str, key: str) -> bool:
    return bool(json.loads(path.read_text()).get(key) == json.loads(before).get(key))


def _edit_verdict(bench: Bench) -> Tried:
    gate = 'require = ["size_bytes(onnxruntime) < 1000"]\n[train]'
    card = bench.trial.edit_card(bench.place / "inks.toml", lambda text: text.replace("[train]", gate))
    failed = bench.run(bench.trial.but(card=card), bench.copy_run())
    if failed.outcome != "FAIL":
        raise RuntimeError(f"the gate that nothing meets gave {failed.outcome}: {failed.reason}")
    edit_json(bench.place / "run" / "verdict.json", _pass_all)
    return bench.report(bench.place / "run")


def _pass_all(record: dict[str, Any]) -> None:
    gates = [{**gate, "outcome": "PASS"} for gate in record["gates"]]
    record.update(outcome="PASS", exit_code=0, gates=gates)


def _edit_parquet(bench: Bench) -> Tried:
    run = bench.copy_run()
    shutil.copy(_write_spoilt(bench, "onnxruntime", _repeat_class), run / "evaluation" / "onnxruntime.parquet")
    return bench.report(run)
