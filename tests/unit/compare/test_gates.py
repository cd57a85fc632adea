import numpy as np
import pytest
from scipy.stats import binom, binomtest

from fake_engine import make_recipe
from run_folder import BF16, INT8, TORCH, Trial, build_run
from seatrial.compare.gates import (
    judge_agreement,
    judge_changed,
    judge_drop,
    judge_gates,
    judge_metric,
    judge_predictions,
    judge_reference_drop,
    judge_same_at_batches,
)
from seatrial.compare.quantities import QUANTITIES, Amount, Evidence
from seatrial.compare.verdict import reach_verdict
from seatrial.evaluation.reference import compare_first_classes
from seatrial.metrics.classification import Estimate, Metric
from seatrial.metrics.intervals import exact_bounds
from seatrial.report.numbers import write_points
from seatrial.store.measurement import Measurement
from seatrial.store.records import AccuracyRecord, Comparison, Suspicion


@pytest.fixture(scope="module")
def accuracies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, AccuracyRecord]:
    run = build_run(tmp_path_factory.mktemp("gates") / "run", Trial(ships=(TORCH, BF16, INT8)))
    return {
        name: AccuracyRecord.load(run / "evaluation" / f"{name}.json")
        for name in ("torch", "openvino-bf16", "openvino-int8")
    }


@pytest.fixture(scope="module")
def measurements(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Measurement]:
    run = build_run(tmp_path_factory.mktemp("speed") / "run")
    return {name: Measurement.load(run / "bench" / f"{name}.json") for name in ("torch", "onnxruntime")}


def change(record: AccuracyRecord, hits: int, images: int) -> AccuracyRecord:
    return record.model_copy(update={"hits": (hits, images), "images": images})


def compare_counts(images: int, lost: int, gained: int) -> Comparison:
    """A set in which the reference was always right but for the gains."""
    labels = np.zeros(images, dtype=np.int64)
    reference, answers = labels.copy(), labels.copy()
    answers[:lost] = 1
    reference[images - gained :] = 1
    return compare_first_classes(reference, answers, labels, "torch")


@pytest.mark.parametrize(
    ("low_pp", "high_pp", "outcome"),
    [
        (-0.3, 0.99, "PASS"),
        (-0.3, 1.0, "INCONCLUSIVE"),
        (0.5, 1.5, "INCONCLUSIVE"),
        (1.0, 3.0, "INCONCLUSIVE"),
        (1.01, 3.0, "FAIL"),
    ],
)
def test_a_drop_is_judged_by_what_is_sure(
    low_pp: float, high_pp: float, outcome: str, accuracies: dict[str, AccuracyRecord]
) -> None:
    record = accuracies["openvino-bf16"]
    assert record.versus is not None
    versus: Comparison = record.versus.model_copy(update={"drop_pp": 0.62, "low_pp": low_pp, "high_pp": high_pp})
    found = judge_reference_drop(record.model_copy(update={"versus": versus}), 1.0)
    assert (found.outcome, found.kind, found.gate) == (outcome, "accuracy", "reference_drop_pp")
    assert found.engine == "openvino-bf16"
    assert (
        f"fell 0.62 points against torch ({write_points(low_pp)} to {write_points(high_pp)} with 95 %" in found.reason
    )
    assert "1 lost, 1 gained of 540 images); the gate is 1" in found.reason


@pytest.mark.parametrize(
    ("lost", "gained", "told"),
    [
        (5, 5, "about 80 more images would settle it, if predictions flip at these rates"),
        (27, 0, None),
        (7, 2, "about 83,000 more images would settle it, if predictions flip at these rates"),
    ],
)
def test_an_open_gate_says_what_would_settle_it(lost: int, gained: int, told: str | None) -> None:
    found = judge_drop("int8", compare_counts(540, lost, gained), 1.0)
    assert (found.outcome == "INCONCLUSIVE") == (told is not None)
    assert found.reason.partition("the gate is 1")[2] == (f"; {told}" if told else "")


def test_what_would_settle_it_is_counted_at_the_confidence_of_the_bounds() -> None:
    versus = compare_counts(540, 5, 5)
    usual, sharper = (judge_drop("int8", versus.model_copy(update={"confidence": c}), 1.0) for c in (0.95, 0.975))
    assert "about 80 more images" in usual.reason and "about 330 more images" in sharper.reason


def test_a_drop_on_the_gate_stays_open() -> None:
    found = judge_drop("int8", compare_counts(1000, 15, 5), 1.0)
    assert found.outcome == "INCONCLUSIVE"
    assert found.reason.endswith("the drop lies on the gate, so more images like these would not settle it")


def test_every_engine_but_the_reference_is_compared_with_it(accuracies: dict[str, AccuracyRecord]) -> None:
    found = judge_gates(make_recipe(), accuracies, {})
    assert [(gate.engine, gate.gate) for gate in found] == [
        ("openvino-bf16", "reference_drop_pp"),
        ("openvino-int8", "reference_drop_pp"),
    ]


@pytest.mark.parametrize(
    ("gates", "hits", "outcome"),
    [
        # A floor of 0.75 · (1 - 0.04) = 0.72, and one of 0.75.
        ({"published_relative_drop": 0.04}, 720, "PASS"),
        ({"published_relative_drop": 0.04}, 719, "INCONCLUSIVE"),
        ({"published_relative_drop": 0.04}, 690, "FAIL"),
        ({"at_least_published": True}, 750, "PASS"),
        ({"at_least_published": True}, 749, "INCONCLUSIVE"),
        ({"at_least_published": True}, 700, "FAIL"),
    ],
)
def test_published_accuracy_is_a_floor_for_every_engine(
    gates: dict[str, object],
    hits: int,
    outcome: str,
    accuracies: dict[str, AccuracyRecord],
) -> None:
    recipe = make_recipe(reference={"top1": 0.75, "source": "a paper"}, gates={**gates, "reference_drop_pp": 99})
    changed = {name: change(record, hits, 1000) for name, record in accuracies.items()}
    found = [gate for gate in judge_gates(recipe, changed, {}) if gate.gate != "reference_drop_pp"]
    assert [(gate.gate, gate.engine, gate.outcome) for gate in found] == [
        (next(iter(gates)), name, outcome) for name in accuracies
    ]
    assert "from the published 75.00%" in found[0].reason


def test_a_floor_near_one_is_missed_for_sure_in_at_most_the_share_that_is_allowed(
    accuracies: dict[str, AccuracyRecord],
) -> None:
    # Three wrong of 1,000 come in 8 % of all sets whose true accuracy is 99.9 %; five in 0.4 %.
    recipe = make_recipe(reference={"top1": 0.999, "source": "a paper"}, gates={"at_least_published": True})
    assert binom.cdf(997, 1000, 0.999) > 0.05 and binom.cdf(995, 1000, 0.999) < 0.025
    for hits, outcome in ((997, "INCONCLUSIVE"), (995, "FAIL")):
        record = change(accuracies["torch"], hits, 1000)
        (found,) = judge_gates(recipe, {"torch": record}, {})
        assert found.outcome == outcome
    assert "(98.84% to 99.84% on 1000 images)" in found.reason


def measured(record: AccuracyRecord, **estimates: Estimate) -> AccuracyRecord:
    return record.model_copy(update={"metrics": estimates})


@pytest.mark.parametrize(
    ("estimate", "outcome"),
    [
        (Estimate(0.70), "PASS"),
        (Estimate(0.69), "FAIL"),
        (Estimate(0.70, 0.6, 0.8), "PASS"),
        (Estimate(0.69, 0.6, 0.8), "INCONCLUSIVE"),
        (Estimate(0.69, 0.68, 0.699), "FAIL"),
    ],
)
def test_a_card_can_name_any_metric(estimate: Estimate, outcome: str, accuracies: dict[str, AccuracyRecord]) -> None:
    recipe = make_recipe(gates={"metrics": {"macro_recall": 0.7}})
    (found,) = judge_gates(recipe, {"torch": measured(accuracies["torch"], macro_recall=estimate)}, {})
    assert (found.gate, found.engine, found.outcome) == ("metrics.macro_recall", "torch", outcome)
    assert "macro recall" in found.reason and found.reason.endswith("the gate is at least 70.00%")


def test_a_metric_may_be_better_the_lower_it_is(
    accuracies: dict[str, AccuracyRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = Metric("error", lambda labels, classes, scores: None, higher_is_better=False)
    monkeypatch.setattr("seatrial.compare.gates.METRICS", {"error": error})
    outcomes = [
        judge_metric(measured(accuracies["torch"], error=estimate), "error", 0.1).outcome
        for estimate in (Estimate(0.1), Estimate(0.11), Estimate(0.11, 0.1, 0.12), Estimate(0.12, 0.11, 0.13))
    ]
    assert outcomes == ["PASS", "FAIL", "INCONCLUSIVE", "FAIL"]


def test_a_metric_that_the_record_has_not_is_left_open(accuracies: dict[str, AccuracyRecord]) -> None:
    found = judge_metric(measured(accuracies["torch"]), "macro_f1", 0.5)
    assert found.outcome == "INCONCLUSIVE" and "no macro F1: evaluate again" in found.reason


def test_accuracy_is_judged_before_speed(
    accuracies: dict[str, AccuracyRecord], measurements: dict[str, Measurement]
) -> None:
    # Batches of 1 take torch 50 ms and onnxruntime 30 ms, of 4 200 and 120 ms.
    gates = {"speed": ["best(onnxruntime) >= 1.6 * best(torch)", "best(onnxruntime) >= 1.7 * best(torch)"]}
    found = judge_gates(make_recipe(gates=gates), accuracies, measurements)
    assert [(gate.kind, gate.outcome) for gate in found[-2:]] == [("speed", "PASS"), ("speed", "FAIL")]
    assert {gate.kind for gate in found[:-2]} == {"accuracy"}


def test_a_card_without_gates_judges_nothing(accuracies: dict[str, AccuracyRecord]) -> None:
    recipe = make_recipe(gates={"reference_drop_pp": 0.5}).model_copy()
    none = recipe.model_copy(update={"gates": recipe.gates.model_copy(update={"reference_drop_pp": None})})
    assert judge_gates(none, accuracies, {}) == ()


@pytest.mark.parametrize(("changed", "outcome"), [(0, "PASS"), (2, "FAIL")])
def test_predictions_that_change_with_the_batch_fail(
    changed: int, outcome: str, accuracies: dict[str, AccuracyRecord]
) -> None:
    record = accuracies["openvino-bf16"]
    assert record.versus is not None
    other = record.model_copy(update={"versus": record.versus.model_copy(update={"changed": changed})})
    found = judge_same_at_batches({1: accuracies["torch"], 16: other})
    assert (found.outcome, found.gate) == (outcome, "same_at_batches")
    assert f"{changed} of 540 predictions differ at 16" in found.reason


DOUBT = Suspicion(kind="at chance", reason="top-1 of 0.10% is not above chance", fix="mend the labels")


def test_a_reference_that_cannot_be_believed_leaves_the_verdict_open(accuracies: dict[str, AccuracyRecord]) -> None:
    doubted = {name: record.model_copy(update={"suspicions": (DOUBT,)}) for name, record in accuracies.items()}
    gates = {"reference_drop_pp": 10.0}
    found = judge_gates(make_recipe(gates=gates), doubted, {})
    assert [(g.gate, g.engine, g.outcome) for g in found] == [
        ("plausible", "torch", "INCONCLUSIVE"),
        ("reference_drop_pp", "openvino-bf16", "PASS"),
        ("plausible", "openvino-bf16", "INCONCLUSIVE"),
        ("reference_drop_pp", "openvino-int8", "PASS"),
        ("plausible", "openvino-int8", "INCONCLUSIVE"),
    ]
    assert found[0].reason == "top-1 of 0.10% is not above chance; mend the labels"
    assert reach_verdict("small", found).exit_code == 7
    switched_off = make_recipe(gates={**gates, "plausible": False})
    assert reach_verdict("small", judge_gates(switched_off, doubted, {})).exit_code == 0
    # An engine that surely lost too much has failed whatever else there is.
    strict = judge_gates(make_recipe(gates={"reference_drop_pp": 0.5}), doubted, {})
    assert reach_verdict("small", strict).exit_code == 3


@pytest.mark.parametrize(("changed", "outcome"), [(100, "PASS"), (150, "INCONCLUSIVE"), (180, "FAIL")])
def test_the_share_of_changed_predictions_is_judged_by_what_is_sure(changed: int, outcome: str) -> None:
    exact = binomtest(changed, 1000).proportion_ci(0.9, "exact")
    bounds = f"{exact.low:.2%} to {exact.high:.2%}"
    versus = compare_counts(1000, changed // 2, changed // 2)
    found = judge_changed("int8", versus, 0.15)
    assert (found.gate, found.outcome, found.kind) == ("changed_share", outcome, "accuracy")
    assert found.reason == (
        f"{changed} of 1000 first classes changed against torch ({bounds} with 95% confidence on each side); "
        "the gate is 15.00%"
    )


def test_what_changed_is_judged_by_surer_bounds_where_an_evaluation_stopped_early() -> None:
    """Each look at which it may have stopped is a chance to err, whatever is counted there."""
    versus = compare_counts(1000, 65, 65)
    early = versus.model_copy(update={"confidence": 0.998})
    for judge, limit in ((judge_changed, 0.15), (judge_agreement, 0.85)):
        usual, surer = judge("int8", versus, limit), judge("int8", early, limit)
        assert (usual.outcome, surer.outcome) == ("PASS", "INCONCLUSIVE")
        assert "with 95% confidence" in usual.reason and "with 99.8% confidence" in surer.reason
    for name, count in (("changed_share", 130), ("agreement", 870)):
        found = QUANTITIES[name].read(Evidence("int8", images=1000, compared=early), None)
        assert isinstance(found, Amount) and found.bounds == exact_bounds(count, 1000, 0.998)


def test_a_gate_of_its_own_takes_the_place_of_the_default_share(accuracies: dict[str, AccuracyRecord]) -> None:
    """A quarter of the predictions changed, half of them for the better: no drop, and no silence."""
    record = accuracies["openvino-int8"].model_copy(update={"versus": compare_counts(1000, 125, 125)})
    kinds = {
        None: [("reference_drop_pp", "PASS"), ("plausible", "INCONCLUSIVE")],
        0.3: [("reference_drop_pp", "PASS"), ("changed_share", "PASS")],
        0.1: [("reference_drop_pp", "PASS"), ("changed_share", "FAIL")],
    }
    for share, expected in kinds.items():
        card = make_recipe(gates={} if share is None else {"changed_share": share})
        found = judge_predictions(record, card.gates, 3.0)
        assert [(gate.gate, gate.outcome) for gate in found] == expected
        assert [gate.gate for gate in judge_predictions(record, card.gates, None)] == ["plausible"] * (share is None)
