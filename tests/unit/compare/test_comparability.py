from dataclasses import replace

import pytest

from seatrial.compare.comparability import KINDS, Basis, check_kinds, choose_basis, find_unlike, refuse_unlike
from seatrial.compare.speed_column import SpeedColumn, SpeedFigure
from seatrial.errors import NotComparable, UsageError
from seatrial.results.speed import Rate

HOST = {"host": {1: SpeedFigure(Rate(10.0), 1)}}
FACTS = {
    "precision": "fp32",
    "model": "resnet50",
    "graph": "a" * 64,
    "preprocess": "b" * 64,
    "machine": "Xeon",
    "clock": "2600 MHz",
}
A = SpeedColumn("a", "x on y", FACTS, 1, HOST)
B = replace(A, name="b")


def change(**facts: str | None) -> SpeedColumn:
    return replace(B, facts=FACTS | facts)


def unlike(*columns: SpeedColumn) -> dict[str, dict[str, str]]:
    return find_unlike(columns, choose_basis(columns))


def test_the_same_is_alike() -> None:
    assert unlike(A, B) == {}
    refuse_unlike({}, ())


@pytest.mark.parametrize("kind", ["precision", "model", "preprocess", "machine", "clock"])
def test_what_differs_is_refused_by_name_until_it_is_allowed(kind: str) -> None:
    found = unlike(A, change(**{kind: "other"}))
    assert list(found) == [kind]
    assert found[kind] == {"a": FACTS[kind][:12], "b": "other"}
    with pytest.raises(
        NotComparable, match=rf"not comparable: {kind}: .+ \(a\), other \(b\); --allow {kind} compares them"
    ):
        refuse_unlike(found, ())
    refuse_unlike(found, (kind,))
    assert unlike(A, change(**{kind: None})) == {}, "an unknown fact is no difference"


def test_every_difference_has_to_be_named() -> None:
    found = unlike(A, change(machine="other", precision="int8"))
    with pytest.raises(
        NotComparable, match=r"not comparable: machine: .*; --allow machine,precision compares"
    ) as caught:
        refuse_unlike(found, ("precision",))
    assert "int8" not in str(caught.value)


def test_another_graph_of_the_same_precision_is_a_difference() -> None:
    assert unlike(A, change(graph="c" * 64)) == {"graph": {"a": "a" * 12, "b": "c" * 12}}
    assert list(unlike(A, change(graph="c" * 64, precision="int8"))) == ["precision"]


def test_a_chip_is_not_set_against_a_card() -> None:
    chip = replace(B, chips_per_card=None)
    assert unlike(A, chip) == {"chips": {"a": "a card", "b": "one chip"}}
    with pytest.raises(
        NotComparable, match=r"import the log again with --chips-per-card N, or give --per chip, or else --allow chips"
    ):
        refuse_unlike(unlike(A, chip), ())
    assert find_unlike((A, chip), choose_basis((A, chip), per="chip")) == {}
    assert unlike(replace(A, chips_per_card=None), chip) == {}


def test_a_common_scope_is_taken_else_scopes_differ() -> None:
    both = replace(A, figures={"device": HOST["host"], "host": HOST["host"]})
    device = replace(B, figures={"device": HOST["host"]})
    assert choose_basis((both, B)) == (Basis("host", "card"),) * 2
    assert choose_basis((both, device)) == (Basis("device", "card"),) * 2
    assert choose_basis((both, replace(both, name="b"))) == (Basis("host", "card"),) * 2
    assert choose_basis((both, replace(both, name="b")), scope="device") == (Basis("device", "card"),) * 2
    assert unlike(B, replace(device, name="d")) == {"scope": {"b": "host", "d": "device"}}
    e2e = replace(B, figures={"e2e": HOST["host"]})
    assert [basis.scope for basis in choose_basis((device, e2e, both))] == ["device", "e2e", "device"]
    with pytest.raises(UsageError, match=r"b was not measured in scope e2e; take --scope device"):
        choose_basis((device,), scope="e2e")
    with pytest.raises(UsageError, match="a has no figures"):
        choose_basis((replace(A, figures={}),))


def test_a_difference_that_does_not_exist_is_an_error() -> None:
    assert check_kinds(KINDS, KINDS) == set(KINDS)
    with pytest.raises(UsageError, match="--allow machin: there is no such difference; did you mean 'machine'"):
        check_kinds(["machin"], KINDS)
