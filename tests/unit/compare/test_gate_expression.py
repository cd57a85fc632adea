import math
import re
from collections.abc import Mapping

import pytest
from scipy.stats import binom, binomtest

from run_folder import TORCH, Ship, Trial, build_run, make_point
from seatrial.compare.gate_expression import (
    GateScope,
    check_gates,
    find_exceptions,
    find_unit,
    judge_gate,
    list_aliases,
    read_gate,
)
from seatrial.compare.gates import gather_evidence
from seatrial.compare.quantities import Evidence
from seatrial.compare.speed_column import SpeedFigure, read_measurement
from seatrial.errors import UsageError
from seatrial.results.speed import Rate
from seatrial.store.measurement import Measurement
from seatrial.store.records import Comparison, GateResult


def make_rates(rates: Mapping[str, Mapping[int | None, float]], doubt: str | None = None) -> dict[str, Evidence]:
    return {
        name: Evidence(name, figures={size: SpeedFigure(Rate(value, doubt=doubt), 1) for size, value in sizes.items()})
        for name, sizes in rates.items()
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("best(310P) >= -3", "no figure is below 0"),
        ("mean(310P) >= 3", "there is no quantity 'mean'; did you mean 'mean_ms'?"),
        ("p98_ms < 3", "there is no quantity 'p98_ms'; did you mean 'p9"),
        ("best() >= 3", r"best\(\) takes an engine"),
        ("best(310P, 8) >= 3", r"best\(\) takes an engine alone, as it is of no batch size"),
        ("top1(310P, 8) >= 0.3", r"top1\(\) takes an engine alone"),
        ("at(310P) >= 3", r"at\(\) takes an engine and a batch size, such as at\(torch, 8\)"),
        ("top1 >= 76", "a share lies between 0 and 1, and 76 does not; 76 % is 0.76"),
        ("1.5 > agreement", "a share lies between 0 and 1, and 1.5 does not"),
        ("p99_ms < best(310P)", "it sets ms against images/s"),
        ("size_bytes + best < 3", "it sets bytes against images/s"),
        ("best(310P)", "it takes one of < <= > >=, once"),
        ("310P >= 3", "column 4: 'P' follows the number 310 with no sign between them; an engine stands in par"),
        ("TOP1 >= 0.7", "there is no quantity 'TOP1'; did you mean 'top1'?"),
        ("top-1 >= 0.7", "there is no quantity 'top-1'; did you mean 'top1'?"),
        ("top1 > 1", "nothing can pass it: a share lies between 0 and 1"),
        ("1 - top1 < 0", "nothing can pass it: a share lies between 0 and 1"),
        ("drop_pp > 100", "nothing can pass it: points lie between -100 and 100"),
        ("p99_ms < 0", "nothing can pass it: no figure is 0 or below"),
        ("1.2 * (2 + 3) >= 6", "it names no quantity"),
    ],
)
def test_what_makes_no_gate_is_reported(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=rf"^gate '.*': .*{told}.*; write it like `top1 >= 0.76` or `best\(") as caught:
        read_gate(text)
    assert f"'{text}'" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("top1 >= 0.76", "share"),
        ("drop_pp > -0.5", "points"),
        ("1.2 * best(a) <= best(b)", "images/s"),
        ("best(a) / best(b) > 2", ""),
        ("1e9 > memory_bytes + size_bytes", "bytes"),
        ("size_bytes / top1 < 2", "bytes/share"),
    ],
)
def test_the_unit_of_a_gate(text: str, unit: str) -> None:
    assert find_unit(read_gate(text)) == unit


SCOPE = GateScope(("torch", "openvino-bf16", "310P"), "torch", (1, 8), {"openvino:bf16": "openvino-bf16"})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("top1(openvino-bf61) >= 0.7", "there is no engine 'openvino-bf61' here; did you mean 'openvino-bf16'?"),
        ("p99_ms(310P, 4) < 2", "batch 4 is not measured; --batch-size is 1, 8"),
        ("best > best(openvino:bf16) + best(310P)", "it applies to no engine, .*: there is torch, openvino-bf16, 310P"),
    ],
)
def test_what_is_not_in_a_run_is_reported(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=rf"^gate '.*': {told}"):
        check_gates([text], SCOPE)


@pytest.mark.parametrize(
    "text",
    ["top1 >= 1", "agreement > 0", "top1(a) / top1(b) > 1.01", "best(a) / best(b) > 2", "drop_pp < -0.5", "5 > p50_ms"],
)
def test_what_some_figures_pass_is_a_gate(text: str) -> None:
    assert read_gate(text).text == text


def test_an_engine_may_be_requested_in_any_way_that_means_no_other() -> None:
    builds = {
        "torch": ("torch", "fp32", "cpu"),
        "openvino": ("openvino", "fp32", "cpu"),
        "openvino-bf16": ("openvino", "bf16", "cpu"),
        "onnxruntime-fp32": ("onnxruntime", "fp32", "cpu"),
        "one": ("tensorrt", "fp16", "cuda:0"),
        "other": ("tensorrt", "fp16", "cuda:1"),
    }
    aliases = list_aliases(builds)
    wanted = {"openvino:fp32": "openvino", "onnxruntime": "onnxruntime-fp32", "openvino:bf16@cpu": "openvino-bf16"}
    assert wanted.items() <= aliases.items() and aliases["tensorrt:fp16@cuda:1"] == "other"
    assert not {"tensorrt:fp16", "tensorrt", "openvino"} & {*aliases}
    (found,) = check_gates(["top1(openvino:fp32) > 0.5"], GateScope(tuple(builds), "torch", aliases=aliases))
    assert found.text == "top1(openvino) > 0.5"


def test_an_alias_gives_way_to_the_name() -> None:
    found = check_gates(["best(openvino:bf16) > 2*best(torch)", "best(310P)>2"], SCOPE)
    assert [gate.text for gate in found] == ["best(openvino-bf16) > 2 * best(torch)", "best(310P)>2"]


@pytest.mark.parametrize(
    ("text", "engines"),
    [
        ("top1 >= 0.7", ["openvino-bf16", "310P"]),
        ("top1(*) >= 0.7", ["openvino-bf16", "310P"]),
        ("best >= 1.2 * best(310P)", ["openvino-bf16"]),
        ("best >= 1.2 * best(torch)", ["openvino-bf16", "310P"]),
        ("best(310P) > 3", ["310P"]),
        ("best(310P) > best(torch)", [""]),
    ],
)
def test_a_gate_without_an_engine_is_of_every_one_but_the_reference(text: str, engines: list[str]) -> None:
    assert [result.engine for result in judge_gate(read_gate(text), {}, SCOPE)] == engines


def make_shares(hits: int, images: int = 1000) -> dict[str, Evidence]:
    return {"310P": Evidence("310P", images=images, hits=(hits,))}


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        # 760 of 1000: exact one-sided bounds 0.7367 and 0.7821.
        ("top1(310P) >= 0.73", "PASS"),
        ("top1(310P) >= 0.75", "INCONCLUSIVE"),
        ("top1(310P) >= 0.77", "INCONCLUSIVE"),
        ("top1(310P) >= 0.79", "FAIL"),
        ("0.73 <= top1(310P)", "PASS"),
        ("1 - top1(310P) < 0.22", "INCONCLUSIVE"),
        ("1 - top1(310P) < 0.21", "FAIL"),
        ("1 - top1(310P) < 0.27", "PASS"),
    ],
)
def test_a_share_passes_by_its_bound(text: str, outcome: str) -> None:
    (found,) = judge_gate(read_gate(text), make_shares(760), SCOPE)
    assert (found.outcome, found.kind, found.gate, found.expression) == (outcome, "accuracy", "require", text)


def test_a_result_has_its_figures() -> None:
    (found,) = judge_gate(read_gate("top1(310P) >= 0.75"), make_shares(760), SCOPE)
    exact = binomtest(760, 1000).proportion_ci(0.9, "exact")
    assert (found.value, found.limit, found.unit) == (0.76, 0.75, "share")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
    assert re.fullmatch(
        r"top1\(310P\) >= 0.75: 0.76 \(0.73\d* to 0.78\d*\) against 0.75; 1000 images; about [\d,]+ more images would "
        "settle it, if predictions flip at these rates",
        found.reason,
    )


def test_what_has_no_interval_is_judged_by_its_value_and_says_so() -> None:
    evidence = {"310P": Evidence("310P", size_bytes=97_000_000)}
    passed, failed = (judge_gate(read_gate(f"size_bytes < {n}"), evidence, SCOPE)[1] for n in ("1e8", "9.7e7"))
    assert (passed.outcome, passed.kind, passed.low, passed.limit) == ("PASS", "resources", None, 1e8)
    assert passed.reason == (
        "size_bytes < 1e8: 97,000,000 against 100,000,000; judged by the value alone, as size_bytes has no interval"
    )
    assert failed.outcome == "FAIL"


def test_several_uncertain_figures_add_like_the_sides_of_a_right_angle() -> None:
    rates = {"a": Rate(100, (97, 104)), "b": Rate(50, (46, 52))}
    evidence = {name: Evidence(name, figures={1: SpeedFigure(rate, 1)}) for name, rate in rates.items()}
    (found,) = judge_gate(read_gate("images_per_s(a) - images_per_s(b) > 46"), evidence, GateScope(("a", "b")))
    # 3 below and 2 above the other way make 3.6; 4 above and 4 below the other way 5.7.
    assert (found.low, found.high) == pytest.approx((50 - math.hypot(3, 2), 50 + math.hypot(4, 4)))
    assert (found.outcome, found.engine) == ("PASS", "")
    (found,) = judge_gate(read_gate("images_per_s(a) >= 1.95 * images_per_s(b)"), evidence, GateScope(("a", "b")))
    assert found.outcome == "INCONCLUSIVE" and (found.value, found.limit) == (100, 97.5)
    assert found.reason.endswith("longer measurements in more processes narrow the interval")


def test_bounds_that_are_exceeded_by_chance_alone_pass_no_more_often_than_they_say() -> None:
    """A floor at the truth is passed, wrongly, in at most 5 % of all sets."""
    wrong = sum(
        binom.pmf(hits, 200, 0.9)
        for hits in range(201)
        if judge_gate(read_gate("top1(310P) > 0.9"), make_shares(hits, 200), SCOPE)[0].outcome == "PASS"
    )
    assert 0.01 < wrong <= 0.05


@pytest.mark.parametrize("text", ["(top1(a) + top1(b)) / 2 > 0.9", "(top1(a) + top1(a)) / 2 > 0.9"])
def test_figures_of_the_same_images_rise_and_fall_together(text: str) -> None:
    """Two engines with equal predictions: their mean is as uncertain as one, and passes as seldom at the truth."""
    wrong = 0.0
    for hits in range(201):
        evidence = {name: Evidence(name, images=200, hits=(hits,)) for name in ("a", "b")}
        (found,) = judge_gate(read_gate(text), evidence, GateScope(("a", "b")))
        (alone,) = judge_gate(read_gate("top1(a) > 0.9"), evidence, GateScope(("a", "b")))
        assert (found.low, found.high) == pytest.approx((alone.low, alone.high))
        wrong += binom.pmf(hits, 200, 0.9) if found.outcome == "PASS" else 0.0
    assert 0.01 < wrong <= 0.05


def test_figures_of_the_same_images_that_take_from_each_other_keep_the_right_angle() -> None:
    evidence = {name: Evidence(name, images=200, hits=(180,)) for name in ("a", "b")}
    (found,) = judge_gate(read_gate("top1(a) >= top1(b) - 0.01"), evidence, GateScope(("a", "b")))
    low, high = (bound - 0.9 for bound in binomtest(180, 200).proportion_ci(0.9, "exact"))
    assert (found.low, found.high) == pytest.approx((0.9 - math.hypot(low, high), 0.9 + math.hypot(low, high)))


def test_what_divides_by_zero_stays_open() -> None:
    (found,) = judge_gate(read_gate("1 / drop_pp(310P) > 2"), {"310P": make_dropped(0.0)}, SCOPE)
    assert (found.outcome, found.reason) == ("INCONCLUSIVE", "1 / drop_pp(310P) > 2: it divides by zero")


def make_dropped(drop_pp: float) -> Evidence:
    versus = Comparison(
        reference="torch", images=100, changed=0, both_right=100, lost=0, gained=0,
        drop_pp=drop_pp, low_pp=drop_pp, high_pp=drop_pp, p_value=1,
    )  # fmt: skip
    return Evidence("310P", images=100, hits=(100,), compared=versus)


def test_a_drop_may_be_a_gain() -> None:
    evidence = {"310P": make_dropped(-1.0)}
    assert judge_gate(read_gate("drop_pp(310P) < -0.5"), evidence, SCOPE)[0].outcome == "PASS"
    assert judge_gate(read_gate("drop_pp(310P) <= -1.5"), evidence, SCOPE)[0].outcome == "FAIL"


def test_images_that_were_left_out_are_told() -> None:
    evidence = {"310P": Evidence("310P", images=1000, hits=(990,), left_out=3)}
    (found,) = judge_gate(read_gate("top1(310P) >= 0.5"), evidence, SCOPE)
    assert found.reason.endswith("; 1000 images; partial: 3 images have no prediction")


def judge_speed(text: str, measurements: Mapping[str, Measurement]) -> GateResult:
    evidence = {name: gather_evidence(name, None, record) for name, record in measurements.items()}
    (found,) = judge_gate(read_gate(text), evidence, GateScope(tuple(evidence)), "speed")
    return found


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
    expected: dict[str, tuple[int, ...]] = {
        "best(a) >= best( b )": (1,),
        "best (a) >= 1.1*best(b)": (1, 4),
        "images_per_s(a) >= 1.1 * images_per_s(b)": (1, 4),
        "best(a) > at(b, 4)": (1, 4),
        "best(a) > best(nobody)": (),
        "at(a, 1) > 100": (),
    }
    found = {text: find_exceptions(read_gate(text), make_rates(rates)) for text in expected}
    assert found == expected
    assert find_exceptions(read_gate("best(a) >= best(b)"), make_rates(rates, doubt="of noise")) == ()
