"""The schemas are those of the types, and what a run leaves fits them."""

import json
from pathlib import Path

import jsonschema
import pytest

from seatrial.cli import run_cli
from seatrial.recipes import list_cards, load_recipe
from seatrial.store.files import manifest_path
from seatrial.workflow.schemas import SCHEMAS, make_schema

FILES = {
    "run": "run.json",
    "checkpoint": "checkpoint.safetensors.json",
    "graph": manifest_path(Path("model.onnx")).name,
    "engine": "engines/onnxruntime/engine.json",
    "accuracy": "evaluation/onnxruntime.json",
    "throughput": "evaluation/onnxruntime.throughput.json",
    "measurement": "bench/onnxruntime.json",
    "verdict": "verdict.json",
    "summary": "summary.json",
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_is_a_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(make_schema(name))


@pytest.mark.parametrize(("name", "file"), FILES.items())
def test_what_a_run_leaves_fits_its_schema(name: str, file: str, tiny_run: Path) -> None:
    data = json.loads((tiny_run / file).read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(make_schema(name))
    validator.validate(data)
    assert not validator.is_valid({**data, "no such key": 1}) and not validator.is_valid({})


def test_our_cards_fit_the_schema_of_a_card() -> None:
    validator = jsonschema.Draft202012Validator(make_schema("card"))
    for name in list_cards():
        validator.validate(load_recipe(name).model_dump(mode="json", exclude_none=True, by_alias=True))


def test_the_verb_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["recipes", "schema", "verdict"]) == 0
    assert json.loads(capsys.readouterr().out) == make_schema("verdict")
    assert run_cli(["recipes", "schema", "verdic"]) == 2
    assert "there is no schema 'verdic'; did you mean 'verdict'?" in capsys.readouterr().err
