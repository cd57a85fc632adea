"""Charts: drawn from what there is, nothing where there is nothing."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import vl_convert

from run_folder import BF16, INT8, ORT, TORCH, Ship, Trial, build_run
from seatrial.errors import StorageError
from seatrial.report import charts
from seatrial.report.charts import (
    COLOURS,
    draw_charts,
    draw_drop,
    draw_latency,
    draw_speed,
    draw_tradeoff,
    draw_training,
)
from seatrial.results.run_folder import read_run


def test_five_charts_of_one_width(tmp_path: Path) -> None:
    figures = draw_charts(read_run(build_run(tmp_path, Trial(trained=True))))
    assert [figure.title for figure in figures] == [
        "Accuracy against speed",
        "Accuracy lost against torch",
        "Speed by batch size",
        "Time for one batch of 1",
        "Training",
    ]
    assert {ElementTree.fromstring(figure.svg).get("width") for figure in figures} == {"480"}


def test_an_engine_keeps_its_colour(tmp_path: Path) -> None:
    build_run(tmp_path, Trial(ships=(TORCH, ORT, BF16)))
    (tmp_path / "bench" / "onnxruntime.json").unlink()
    speed = draw_speed(read_run(tmp_path))
    assert speed is not None
    assert COLOURS[0] in speed.svg and COLOURS[2] in speed.svg
    assert COLOURS[1] not in speed.svg


def test_the_gate_is_drawn_and_named(tmp_path: Path) -> None:
    figure = draw_drop(read_run(build_run(tmp_path, Trial(ships=(TORCH, INT8), gate_pp=1.5))))
    assert figure is not None
    assert "gate at 1.50" in figure.caption
    assert re.search(r'stroke-dasharray="5,3"', figure.svg)


def test_many_engines_and_one_batch_size_still_draw(tmp_path: Path) -> None:
    ships = tuple(Ship(f"engine-{n}", "torch", batch_ms={8: (10.0 + n, 11.0 + n)}) for n in range(10))
    figures = draw_charts(read_run(build_run(tmp_path, Trial(ships=ships))))
    assert len(figures) == 4
    assert all(f"engine-{n}" in figure.svg for figure in figures[1:] for n in range(10))


def test_colours_are_the_pages_with_those_on_white_for_a_page_without(tmp_path: Path) -> None:
    figure = draw_drop(read_run(build_run(tmp_path)))
    assert figure is not None
    assert f"var(--engine-1,{COLOURS[1]})" in figure.svg and "var(--muted,#59636e)" in figure.svg
    assert set(re.findall(r'"(#[0-9a-f]{6})"', figure.svg)) <= {"#000000", "#ffffff"}


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    run = read_run(build_run(tmp_path, Trial(ships=(Ship("torch", "torch"),))))
    every = (draw_tradeoff, draw_drop, draw_speed, draw_latency, draw_training)
    assert [draw(run) for draw in every] == [None] * 5


def test_a_panic_for_want_of_descriptors_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        pass

    def panic(*_: object, **__: object) -> str:
        raise PanicException('Os { code: 24, kind: Uncategorized, message: "Too many open files" }')

    monkeypatch.setattr(vl_convert, "vegalite_to_svg", panic)
    with pytest.raises(StorageError, match="too many files are open"):
        charts._to_svg(charts._line_at(1.0, "red", [1, 1]))
