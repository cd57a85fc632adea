"""Rows of many runs: who is ranked against whom, and what certainly changed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seatrial.compare.board import BoardRow, Change, mark_front
from seatrial.compare.since import compare_rows, find_older
from seatrial.store.predictions import Predictions
from seatrial.store.summary import EngineSummary, SpeedSummary

HERE = (Path(), Path())


def make_row(
    run: str, rate: tuple[float, float], top1: tuple[float, float] | None = (0.7, 0.72), **facts: object
) -> BoardRow:
    low, high = rate
    figure = SpeedSummary(
        scope="host",
        batch_size=8,
        streams=1,
        processes=5,
        images_per_s=(low + high) / 2,
        low=low,
        high=high,
        doubt=None,
        memory_bytes=10,
    )
    known = {"name": "ort", "engine": "onnxruntime", "device": "cpu", "precision": "fp32", "images": 100}
    known |= {"images_hash": "i", "machine": "Xeon", "machine_hash": "m" * 64, "figures": (figure,)}
    if top1 is not None:
        known |= {"top1": sum(top1) / 2, "top1_low": top1[0], "top1_high": top1[1]}
    return BoardRow(run=run, model="net", engine=EngineSummary.model_validate(known | facts), reference="torch")


def rank(*rows: BoardRow) -> list[str]:
    return [row.front for row in mark_front(rows)]


def test_only_certain_differences_rank() -> None:
    slow, fast = make_row("a", (10, 12)), make_row("b", (20, 22))
    better = make_row("c", (20, 22), (0.8, 0.82))
    assert rank(slow, fast) == ["front", "front"]
    assert rank(slow, better) == ["beaten by ort of c", "front"]
    assert rank(make_row("a", (10, 20)), fast) == ["front, tied with ort of b", "front, tied with ort of a"]
    # The same first class for every image: only the speed is left to choose by.
    same = {"first_classes": "p"}
    assert rank(make_row("a", (10, 12), **same), make_row("b", (20, 22), **same)) == ["beaten by ort of b", "front"]


def test_other_machines_and_other_images_are_never_ranked_against_each_other() -> None:
    slow, better = make_row("a", (10, 12)), make_row("c", (20, 22), (0.8, 0.82))
    # The same files with other labels, such as ImageNet's corrected ones, are another task.
    for change in ({"machine_hash": "n" * 64}, {"images_hash": "j"}, {"labels_hash": "l"}):
        other = replace(better, engine=better.engine.model_copy(update=change))
        assert rank(slow, other) == ["front", "front"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"figures": ()}, "its speed was not measured"),
        ({"images_hash": None}, "its record does not identify the images"),
        ({"images": None}, "no images were evaluated"),
        ({"top1": None, "top1_low": None, "top1_high": None}, "it has neither labels nor a reference"),
    ],
)
def test_what_cannot_be_ranked_says_why(change: dict[str, object], why: str) -> None:
    row = make_row("a", (10, 12))
    row = replace(row, engine=row.engine.model_copy(update=change))
    assert row.group is None and row.unranked == why and rank(row) == [""]
    figure = row.engine.figures[0].model_copy(update={"doubt": "a busy machine"}) if row.engine.figures else None
    if figure is not None and not change.get("images", True):
        doubtful = replace(row, engine=row.engine.model_copy(update={"figures": (figure,)}))
        assert doubtful.unranked == "a busy machine"


def test_without_labels_agreement_is_ranked_within_a_run() -> None:
    agreeing = {"agreement": 1.0, "agreement_low": 0.99, "agreement_high": 1.0}
    torch = make_row("a", (5, 6), None, name="torch")
    good, bad = (
        make_row("a", (20, 22), None, **agreeing),
        make_row("a", (10, 12), None, name="int8", agreement=0.9, agreement_low=0.85, agreement_high=0.95),
    )
    assert rank(torch, good, bad) == ["front", "front", "beaten by ort"]
    assert rank(good, replace(bad, run="b")) == ["front", "front"]


def test_the_older_row_is_that_of_the_same_path_or_the_only_one() -> None:
    row, other, third = (make_row(run, (10, 12)) for run in "abc")
    assert find_older(row, [other]) is other and find_older(row, [other, row]) is row
    assert find_older(row, []) == Change("new")
    found = find_older(row, [other, third])
    assert isinstance(found, Change) and found.kind == "not comparable" and "2 older runs" in found.reason


@pytest.mark.parametrize(
    ("rate", "kind"), [((20, 22), "better"), ((5, 6), "worse"), ((10, 12), "not certain"), ((11, 14), "not certain")]
)
def test_a_rate_changed_only_where_its_ratio_is_surely_not_one(rate: tuple[float, float], kind: str) -> None:
    change = compare_rows(make_row("a", rate), make_row("a", (10, 12)), HERE)
    assert change.kind == kind and change.reason.startswith("images/s at best ")


def test_a_rate_of_another_machine_is_not_compared() -> None:
    older = make_row("a", (10, 12), machine_hash="n" * 64)
    change = compare_rows(make_row("a", (20, 22)), older, HERE)
    assert change.kind == "not comparable" and "machine" in change.reason


def test_rates_are_compared_at_the_batch_sizes_and_streams_of_both() -> None:
    """What was measured less, as in a shorter run, is no slower for that; nor is what was measured more any faster."""
    both, more = make_row("a", (10, 12)), make_row("a", (50, 52))
    (small,), (large,) = both.engine.figures, more.engine.figures
    large, wide = large.model_copy(update={"batch_size": 16}), large.model_copy(update={"streams": 4})
    for other, words in ((large, "batch 16 in the {} alone"), (wide, "batch 8: compared on 1 stream, as both")):
        row = replace(both, engine=both.engine.model_copy(update={"figures": (small, other)}))
        for newer, older, name in ((both, row, "older"), (row, both, "newer")):
            change = compare_rows(newer, older, HERE)
            assert change.kind == "not certain" and "images/s at best 0.0 % " in change.reason
            assert words.format(name) in change.reason
    for other in (large, wide):
        row = replace(both, engine=both.engine.model_copy(update={"figures": (other,)}))
        assert compare_rows(row, both, HERE).kind in ("not comparable", "not certain")


def test_predictions_that_changed_are_compared_image_by_image(tmp_path: Path) -> None:
    ids, labels = tuple(f"{n:03d}" for n in range(100)), np.zeros(100, np.int32)
    names = {"old": 0, "new": 10}
    rows = {}
    for name, lost in names.items():
        classes = np.tile(np.array([0, 1], np.int32), (100, 1))
        classes[:lost] = [1, 0]
        predictions = Predictions(ids, labels, classes, np.tile(np.array([2, 1], np.float32), (100, 1)))
        predictions.save(tmp_path / name / "run" / "evaluation" / "ort.parquet")
        rows[name] = make_row("run", (10, 12), predictions="ort.parquet", predictions_sha256=name)
    folders = (tmp_path / "new", tmp_path / "old")
    found = compare_rows(rows["new"], rows["old"], folders)
    assert found.kind == "worse" and "top-1 fell 10.00 points" in found.reason
    assert "10 of 100 first classes changed" in found.reason
    assert compare_rows(rows["old"], rows["new"], folders[::-1]).kind == "better"
    same = compare_rows(rows["new"], rows["new"], folders)
    assert same.kind == "not certain" and "the same predictions" in same.reason


def test_a_verdict_that_changed_is_marked() -> None:
    before, after = make_row("a", (10, 12), outcome="PASS"), make_row("a", (10, 12), outcome="FAIL")
    assert compare_rows(after, before, HERE).kind == "worse"
    assert compare_rows(before, after, HERE).kind == "better"
