"""The functions of the API are the verbs: the same names and defaults, and what they return is what is stored."""

import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from seatrial import api
from seatrial.api.values import LEAST, MOST
from seatrial.cli.app import make_app
from seatrial.errors import DataError, UsageError
from seatrial.progress import Update
from seatrial.recipes.training import Train
from seatrial.store.predictions import Predictions
from seatrial.store.records import AccuracyRecord, Verdict
from tiny_trial import CLASSES, TinyTrial

VERBS = ("bench", "choose", "compare", "compile", "evaluate", "export", "quantize", "report", "run", "train")
ONLY_OF_THE_COMMAND = {
    "json": "the function returns the record",
    "help": "as every function has",
    "config": "a file of these keywords",
    "quiet": "without `progress` nothing is shown",
    "print-config": "the keywords are at hand",
    "dry-run": "prints a plan",
    "latency-budget-ms": "picks from the table that is printed",
    "scenario": "hidden: says which verb has it",
    "limit of compare": "rows that are printed",
    "format of compare": "how the table is printed",
}
"""Options without a keyword, and why."""


def list_options(verb: str) -> Iterator[tuple[str, Any]]:
    """The options of a verb by their long names."""
    group: Any = typer.main.get_command(make_app())
    command = group.commands[verb]
    for parameter in command.get_params(typer.Context(command)):
        if parameter.param_type_name == "option":
            name = parameter.opts[0].removeprefix("--")
            if not {name, f"{name} of {verb}"} & ONLY_OF_THE_COMMAND.keys():
                yield name.replace("-", "_"), parameter


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_a_keyword_with_its_default(verb: str) -> None:
    keywords = {
        name: parameter
        for name, parameter in inspect.signature(getattr(api, verb)).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name != "progress"
    }
    options = dict(list_options(verb))
    settings = set(Train.model_fields) if verb == "train" else set()
    assert settings <= set(options)
    assert set(keywords) == set(options) - settings
    for name, keyword in keywords.items():
        option = options[name]
        # `train` says itself that --output is missing, after the flags of other scripts were translated.
        if option.required or (verb, name) == ("train", "output"):
            assert keyword.default is inspect.Parameter.empty, name
        else:
            default = option.default
            assert keyword.default == (str(default) if isinstance(default, Path) else default), name


@pytest.mark.parametrize("verb", VERBS)
def test_a_number_has_the_limits_of_its_option(verb: str) -> None:
    limits = {name: option for name, option in list_options(verb) if option.min is not None}
    own = {name: limit for name, limit in limits.items() if name not in Train.model_fields}
    assert own or verb in ("compile", "report")
    assert {name: limit.min for name, limit in own.items()} == {name: LEAST[name] for name in own}
    assert {n: limit.max for n, limit in own.items() if limit.max is not None} == {n: MOST[n] for n in own if n in MOST}


def test_a_number_beyond_them_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--batch-size is 0; give a number, at least 1"):
        api.evaluate(tmp_path, images=tmp_path, output=tmp_path, batch_size=0)
    with pytest.raises(UsageError, match="--gate-pp is 101; give a number, from 0 to 100"):
        api.compare(tmp_path, gate_pp=101)
    with pytest.raises(UsageError, match="--duration is nan"):
        api.bench(tmp_path, output=tmp_path, duration=float("nan"))
    with pytest.raises(UsageError, match="--nproc is True"):
        api.train("resnet50", output=tmp_path, synthetic=True, nproc=True)


def test_the_list_of_exceptions_names_options_that_there_are() -> None:
    group: Any = typer.main.get_command(make_app())
    commands = [group.commands[verb] for verb in VERBS]
    there = {p.opts[0].removeprefix("--") for c in commands for p in c.get_params(typer.Context(c)) if p.opts}
    assert {name.partition(" of ")[0] for name in ONLY_OF_THE_COMMAND} <= there


def test_importing_it_loads_no_framework() -> None:
    code = (
        "import sys, seatrial.api\n"
        "print([n for n in ('torch', 'onnxruntime', 'openvino', 'onnx', 'numpy', 'pydantic') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_checkpoint_becomes_an_engine_with_its_accuracy(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    notes: list[Update] = []
    graph = api.export(
        str(tiny_trial.card),
        checkpoint=tiny_trial.checkpoint,
        output=str(tmp_path / "model.onnx"),
        images=tiny_trial.images,
        progress=notes.append,
    )
    assert graph.path.is_file() and graph.manifest.parity and notes
    built = api.compile(graph.path, engine="onnxruntime", output=tmp_path / "ort", batch_size=[1, 8])
    assert [model.batch_size for model in built.manifest.files] == [1, 8]
    found = api.evaluate(built.folder, images=tiny_trial.images, labels=tiny_trial.labels, output=tmp_path)
    assert found.record == AccuracyRecord.load(found.path) and found.verdict is None
    assert found.predictions.is_file()
    again = api.evaluate(
        built.folder,
        images=tiny_trial.images,
        labels=tiny_trial.labels,
        output=tmp_path / "again",
        reference=found.predictions,
        gate_pp=30,
    )
    assert again.verdict is not None and again.verdict.outcome == "PASS"
    compared = api.compare(found.predictions, again.predictions, gate_pp=30)
    assert compared.verdict is not None and compared.verdict.exit_code == 0


def test_a_run_predicts_and_reports(tiny_run: Path, tiny_trial: TinyTrial, tmp_path: Path) -> None:
    image = tiny_trial.images / "image_003.JPEG"
    (one, two) = api.predict_all(tiny_run, [image, str(image)], engine="onnxruntime")
    stored = Predictions.load(tiny_run / "evaluation" / "onnxruntime.parquet")
    classes = stored.classes[stored.ids.index(image.name)]
    np.testing.assert_array_equal([each.number for each in one.best], classes)
    assert one == two and len(one.best) == CLASSES
    assert api.predict(tiny_run / "engines" / "onnxruntime", image).best == one.best
    found = api.report(tiny_run, format="json", output=tmp_path / "run.json")
    assert found.files == (tmp_path / "run.json",) and found.text == found.files[0].read_text(encoding="utf-8")
    assert found.verdict == Verdict.load(tiny_run / "verdict.json")


def test_what_is_wrong_is_an_error_of_ours(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown key 'epoch'; did you mean 'epochs'"):
        api.train("resnet50", output=tmp_path, synthetic=True, epoch=1)
    with pytest.raises(UsageError, match="has no engine 'onnx'; did you mean 'onnxruntime'"):
        api.predict(tiny_run, "x.jpg", engine="onnx")
    with pytest.raises(DataError, match=r"x\.jpg cannot be read"):
        api.predict(tiny_run, tmp_path / "x.jpg", engine="onnxruntime")
    with pytest.raises(UsageError, match="neither a run nor an engine folder"):
        api.predict(tmp_path, "x.jpg")
    with pytest.raises(UsageError, match="does not apply to runs"):
        api.compare(tiny_run, tiny_run, labels="x")
    with pytest.raises(UsageError, match="nothing to compare"):
        api.compare()
    assert api.load_recipe("resnet50").name == "resnet50"
