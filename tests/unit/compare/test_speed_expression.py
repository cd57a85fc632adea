import ast
import builtins
import re

import pytest

from run_folder import TORCH, Ship, Trial, build_run, make_point
from seatrial.compare.speed_column import SpeedFigure, read_measurement
from seatrial.compare.speed_expression import Figures, GateFigures, find_exceptions, judge_figures, judge_speed
from seatrial.errors import UsageError
from seatrial.results.speed import Rate
from seatrial.store.measurement import Measurement


def make_figures(rates: dict[str, dict[int | None, float]], doubt: str | None = None) -> Figures:
    return {
        name: {size: SpeedFigure(Rate(value, doubt=doubt), 1) for size, value in sizes.items()}
        for name, sizes in rates.items()
    }


MEASURED = make_figures(
    {"310": {1: 100.0, 8: 400.0}, "310P": {1: 200.0, 8: 600.0}, "openvino-bf16": {4: 50.0}, "a.b_c": {1: 1.0}}
)


def evaluate(text: str) -> tuple[float, bool, float]:
    return GateFigures(MEASURED).compare(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("2 - 3 - 4", -5),
        ("100 / 4 / 5", 5),
        ("2 * 3 + 4 * 5", 26),
        ("((1.5))", 1.5),
        ("1 - 2 * (3 - 4) / 8", 1.25),
        ("best(310)", 400),
        ("best(310P)", 600),
        ("best( 310P )", 600),
        ("best (310P)", 600),
        ("at(310, 1)", 100),
        ("at(310P,8)", 600),
        ("best(openvino-bf16)", 50),
        ("best(a.b_c)", 1),
        ("best(openvino-bf16)-at(openvino-bf16,4)", 0),
        ("1.2*best(310)/at(310P,1)", 2.4),
    ],
)
def test_arithmetic_is_read_as_written(text: str, value: float) -> None:
    assert evaluate(f"{text} >= at(a.b_c, 1)") == (pytest.approx(value), value >= 1, 1)
    assert evaluate(f"at(a.b_c,1)<{text}") == (1, value > 1, pytest.approx(value))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "best(310P)",
        "best(310P) >=",
        ">= 3",
        "best(310P) = 3",
        "best(310P) == 3",
        "best(310P) >= 3 >= 2",
        "best(310P) >= 3 4",
        "best(310P) >= (3",
        "best(310P) >= 3)",
        "best(310P) >= ()",
        "best(310P) >= 2 ** 3",
        "best(310P) >= -3",
        "best(310P) >= 3 *",
        "best(310P) >= 1 / (2 - 2)",
        "best(310P) >= 1.2.3",
        "best(310P) >= 1e3",
        "best(310P) >= 2x",
        "best(310P) and 1 < 2",
        "best(310P >= 3",
        "best() >= 3",
        "best(310P, 8) >= 3",
        "at(310P) >= 3",
        "at(310P, many) >= 3",
        "at(310P, 1, 8) >= 3",
        "at(, 8) >= 3",
        "mean(310P) >= 3",
        "310P >= 3",
        "3 > 2",
        "1.2 * (2 + 3) >= 6",
        "__import__('os').getcwd() > 3",
        "best(310P) if 1 else 2 >= 3",
        "figure0 * best(310P) >= 3",
        "best(310P) // 2 >= 3",
        "best(310P) >= 1_0",
        "best(310P) >= ...",
        "best(310P) >= " + "(" * 9999 + "3" + ")" * 9999,
    ],
)
def test_what_cannot_be_read_is_reported(text: str) -> None:
    with pytest.raises(UsageError, match=r"^speed gate '.*': .+; write it like `best\(openvino-bf16\) >= ") as caught:
        judge_figures(text, MEASURED)
    assert f"'{text}'" in str(caught.value)


@pytest.mark.parametrize("text", ["best(nobody) >=", "best(nobody) >> 3", "at(nobody) >= 3", "best(nobody) >= 3 )"])
def test_what_cannot_be_read_never_passes_for_unmeasured(text: str) -> None:
    with pytest.raises(UsageError):
        judge_speed(text, {})


def test_nothing_is_ever_evaluated_as_python(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("an expression was run as Python")

    def parse(source: object, filename: str, mode: str, flags: int = 0, **more: object) -> object:
        assert flags & ast.PyCF_ONLY_AST, "an expression was compiled"
        return parser(source, filename, mode, flags, **more)

    parser = compile
    for name in ("eval", "exec"):
        monkeypatch.setattr(builtins, name, refuse)
    monkeypatch.setattr(builtins, "compile", parse)
    assert evaluate("best(310P) >= 1.2 * best(310)") == (600, True, 480)


@pytest.fixture(scope="module")
def measurements(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Measurement]:
    """torch at 20 images/s at batch 1 and 20 at 4, 310P at 40 and 100."""
    ship = Ship("310P", "onnxruntime", batch_ms={1: (24.0, 26.0), 4: (40.0, 40.0)})
    run = build_run(tmp_path_factory.mktemp("expressions") / "run", Trial(ships=(TORCH, ship)))
    return {name: Measurement.load(run / "bench" / f"{name}.json") for name in ("torch", "310P")}


@pytest.mark.parametrize(
    ("text", "outcome", "reason"),
    [
        ("best(310P) >= 5 * best(torch)", "PASS", "best(310P) >= 5 * best(torch): 100 against 100"),
        ("best(310P) > 5 * best(torch)", "FAIL", "best(310P) > 5 * best(torch): 100 against 100"),
        ("at(310P, 1) < 40.5", "PASS", "at(310P, 1) < 40.5: 40 against 40.5"),
        ("at(310P, 1) <= 39.99", "FAIL", "at(310P, 1) <= 39.99: 40 against 39.99"),
        ("best(310P) / best(torch) >= 5.01", "FAIL", "best(310P) / best(torch) >= 5.01: 5 against 5.01"),
        ("best(310) > 1", "INCONCLUSIVE", "best(310) > 1: '310' was not measured (there is torch, 310P)"),
        ("at(310P, 8) > 1", "INCONCLUSIVE", "at(310P, 8) > 1: '310P' was not measured at batch 8"),
        ("1 > 2 * at(310P, 8)", "INCONCLUSIVE", "1 > 2 * at(310P, 8): '310P' was not measured at batch 8"),
    ],
)
def test_a_gate_is_judged_by_the_figures(
    text: str, outcome: str, reason: str, measurements: dict[str, Measurement]
) -> None:
    found = judge_speed(text, measurements)
    assert (found.gate, found.kind, found.outcome, found.reason) == ("speed", "speed", outcome, reason)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"contradicted": "the evaluation gave 10.8 images/s"}, "the evaluation gave 10.8 images/s"),
        ({"points": "busy"}, "other processes used 90% of the processors while it was measured"),
        ({"points": "wide"}, r"its 95 % interval is [0-9.e+]* to [0-9.e+]* images/s"),
    ],
)
def test_a_gate_on_a_figure_in_doubt_is_not_decided(
    change: dict[str, object], told: str, measurements: dict[str, Measurement]
) -> None:
    points = measurements["torch"].points
    made = {
        "busy": tuple(point.model_copy(update={"others_busy": 0.9}) for point in points),
        "wide": (make_point(4, (100.0, 100.0)), make_point(4, (180.0, 180.0))),
    }
    if "points" in change:
        change = {"points": made[str(change["points"])]}
    doubted = {**measurements, "torch": measurements["torch"].model_copy(update=change)}
    found = judge_speed("best(310P) >= 2 * best(torch)", doubted)
    assert found.outcome == "INCONCLUSIVE" and judge_speed("best(310P) > 1", doubted).outcome == "PASS"
    assert re.search(f"'torch' is in doubt: {told}; .* measures again$", found.reason)


def test_nothing_measured_is_inconclusive() -> None:
    assert judge_speed("best(torch) > 1", {}).reason.endswith("'torch' was not measured (there is nothing)")


def test_rates_are_those_of_all_processes_and_the_best_streams(measurements: dict[str, Measurement]) -> None:
    points = (
        make_point(2, (10.0, 10.0)),
        make_point(2, (30.0, 30.0)),
        make_point(2, (50.0, 50.0), streams=4),
        make_point(8, (100.0,)),
        # The device alone is faster, and is no speed to hold against a host's.
        make_point(8, (1.0,)).model_copy(update={"scope": "device"}),
    )
    measured = {"npu": measurements["torch"].model_copy(update={"points": points})}
    # One stream: 2 · 4 images in 80 ms, 100/s; four streams: 2 · 2 in 100 ms, times 4, 160/s.
    figures = {name: read_measurement(record, name).headline for name, record in measured.items()}
    assert {size: figure.rate.value for size, figure in figures["npu"].items()} == pytest.approx({2: 160, 8: 80})


def test_exceptions_are_the_batches_at_which_a_gate_would_fail() -> None:
    rates: dict[str, dict[int | None, float]] = {
        "a": {1: 10.0, 4: 50.0, 8: 90.0, None: 900.0},
        "b": {1: 11.0, 4: 50.0, 8: 80.0, 16: 85.0},
    }
    measured = make_figures(rates)
    assert find_exceptions("best(a) >= best( b )", measured) == (1,)
    assert find_exceptions("best (a) >= 1.1*best(b)", measured) == (1, 4)
    assert find_exceptions("best(a) > at(b, 4)", measured) == (1, 4)
    assert find_exceptions("best(a) > best(nobody)", measured) == ()
    assert find_exceptions("at(a, 1) > 100", measured) == ()
    assert find_exceptions("best(a) >= best( b )", make_figures(rates, doubt="of noise")) == ()
