from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from seatrial.errors import UsageError
from seatrial.strict import Strict, StrictNumbers, find_near, suggest


def test_the_nearest_name_is_the_one_that_is_meant() -> None:
    assert suggest("TOP1", ["top1", "top5"]) == "did you mean 'top1'?"
    assert suggest("top-1", ["top5", "top1", "p50_ms"]) == "did you mean 'top1'?"
    assert suggest("zzz", ["torch", "onnxruntime", "onnxruntime"]) == "known: onnxruntime, torch"
    assert find_near("resnet81", ["resnet50", "resnest14", "resnet18", "resnet101", "vit_b"], 3)[0] == "resnet18"
    assert {*find_near("resnet81", ["resnest81", "resnet50", "resnet101", "vit_b"], 2)} == {"resnet50", "resnet101"}


def test_a_text_in_the_place_of_a_list_is_said_plainly() -> None:
    assert refuse(drives="sail") == "ship.toml: 'drives' is 'sail': it takes a list, in square brackets"
    assert refuse(crew=3) == "ship.toml: 'crew' is 3: it takes a table of keys"


class Sail(Strict):
    kind: Literal["sail"]
    area_m2: float


class Motor(Strict):
    kind: Literal["motor"]
    power_kw: float


class Crew(Strict):
    captain: str
    sailors: int = 0


class Ship(Strict):
    name: str
    length_m: float = 10
    schema_: str = Field(default="ship/1", alias="schema")
    crew: Crew | None = None
    drives: tuple[Annotated[Sail | Motor, Field(discriminator="kind")], ...] = ()
    boats: dict[str, Crew] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _afloat(self) -> "Ship":
        if self.length_m < 1:
            raise ValueError("a ship is at least 1 m long")
        return self


def refuse(**data: object) -> str:
    with pytest.raises(UsageError) as caught:
        Ship.read({"name": "Vasa", **data}, "ship.toml")
    assert caught.value.__suppress_context__, "pydantic's own error would be shown too"
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"lenght_m": 3}, "unknown key 'lenght_m'; did you mean 'length_m'?"),
        ({"zzzzzz": 3}, "unknown key 'zzzzzz'; known: boats, crew, drives, length_m, name, schema"),
        ({"schem": "x"}, "unknown key 'schem'; did you mean 'schema'?"),
        ({"crew": {"captain": "X", "sailor": 3}}, "unknown key 'crew.sailor'; did you mean 'sailors'?"),
        ({"boats": {"a": {"captian": "X"}}}, "unknown key 'boats.a.captian'; did you mean 'captain'? (and 1 more)"),
        (
            {"drives": [{"kind": "sail", "area_m2": 3}, {"kind": "motor", "power_kw": 3, "powr_kw": 2}]},
            "unknown key 'drives.1.motor.powr_kw'; did you mean 'power_kw'?",
        ),
        ({"drives": [{"kind": "oars"}]}, "'drives.0' is {'kind': 'oars'}: Input tag 'oars'"),
        ({"crew": {}}, "'crew.captain' is missing"),
        ({"length_m": "long"}, "'length_m' is 'long': Input should be a valid number"),
        ({"length_m": float("nan")}, "'length_m' is nan: Input should be a finite number"),
        ({"length_m": 0.5}, "a ship is at least 1 m long"),
    ],
)
def test_the_first_wrong_key_is_named_with_what_would_be_right(data: dict[str, object], words: str) -> None:
    assert refuse(**data).startswith(f"ship.toml: {words}")


def test_an_unknown_key_comes_before_a_missing_one() -> None:
    with pytest.raises(UsageError, match=r"unknown key 'nme'; did you mean 'name'\? \(and 1 more\)"):
        Ship.read({"nme": "Vasa"}, "ship.toml")


def test_values_are_frozen() -> None:
    ship = Ship.read({"name": "Vasa"}, "ship.toml")
    with pytest.raises(ValidationError, match="frozen"):
        ship.name = "Fram"


def test_field_docstrings_are_descriptions() -> None:
    class Buoy(Strict):
        colour: str
        """As painted."""

    assert Buoy.model_fields["colour"].description == "As painted."


def test_names_near_enough_are_suggested_and_others_listed() -> None:
    known = ["openvino", "onnxruntime"]
    assert suggest("openvin", known) == "did you mean 'openvino'?"
    assert suggest("tpu", known) == "known: onnxruntime, openvino"


class Log(StrictNumbers):
    knots: float = 0
    days: int = 0
    sunk: bool = False
    depths_m: tuple[Annotated[int, Field(gt=0)], ...] = ()
    by_day: dict[int, float] = Field(default_factory=dict)
    note: str | bool | int | float = ""


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"days": "3"}, "'days' is '3': Input should be a valid integer, without quotes"),
        ({"days": True}, "'days' is True: Input should be a valid integer"),
        ({"days": 3.0}, "'days' is 3.0: Input should be a valid integer"),
        ({"knots": "3.5"}, "'knots' is '3.5': Input should be a valid number, without quotes"),
        ({"knots": False}, "'knots' is False: Input should be a valid number"),
        ({"sunk": 1}, "'sunk' is 1: Input should be a valid boolean"),
        ({"sunk": "no"}, "'sunk' is 'no': Input should be a valid boolean, without quotes"),
        ({"depths_m": [3, "4"]}, "'depths_m.1' is '4': Input should be a valid integer, without quotes"),
        ({"by_day": {"1": "2"}}, "'by_day.1' is '2': Input should be a valid number, without quotes"),
    ],
)
def test_what_is_no_number_is_taken_for_none(data: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        Log.read(data, "log.toml")
    assert str(caught.value) == f"log.toml: {words}"


def test_numbers_are_taken_as_they_are() -> None:
    log = Log.read({"knots": 3, "days": 2, "depths_m": [1, 2], "by_day": {"1": 2}, "note": "224"}, "log.toml")
    assert (log.knots, log.days, log.depths_m, log.by_day, log.note) == (3.0, 2, (1, 2), {1: 2.0}, "224")


def test_a_line_is_named_where_it_is_known() -> None:
    with pytest.raises(UsageError, match=r"^log\.toml:7: 'depths_m\.0' is 'x'"):
        Log.read({"depths_m": ["x"]}, "log.toml", lambda place: 7 if place == ("depths_m", 0) else None)
    with pytest.raises(UsageError, match=r"^log\.toml: 'days'"):
        Log.read({"days": "x"}, "log.toml", lambda place: None)
