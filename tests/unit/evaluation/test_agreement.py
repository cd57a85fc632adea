"""Agreement with a reference, in closed form, and what of it the gates conclude without labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import beta, binomtest

from fake_engine import make_recipe
from run_folder import build_run
from seatrial.compare.gates import judge_agreement, judge_drop, judge_gates
from seatrial.evaluation.agreement import measure_agreement, weigh_flips
from seatrial.evaluation.plausibility import Seen, find_suspicions
from seatrial.metrics.calibration import log_sum_exp
from seatrial.metrics.intervals import exact_bounds, images_to_part
from seatrial.metrics.topk import rank_top
from seatrial.store.predictions import Predictions
from seatrial.store.records import NO_LABELS, AccuracyRecord, Agreement, Compared


def draw(first: NDArray[np.integer], scores: NDArray[np.floating]) -> Predictions:
    """Predictions without labels: some first class, and the one after it."""
    classes = np.stack([first, (first + 1) % 9], axis=1).astype(np.int32)
    ids = tuple(f"{row:03d}.png" for row in range(len(first)))
    return Predictions(ids, None, classes, scores.astype(np.float32))


def agree(changed: int, images: int) -> Compared:
    return Compared(reference="torch", images=images, changed=changed)


@pytest.mark.parametrize("changed", [0, 1, 7, 40])
def test_the_interval_is_clopper_and_pearsons(changed: int) -> None:
    first, scores = np.zeros(40, np.int32), np.tile([2.0, 1.0], (40, 1))
    found = measure_agreement(draw(first, scores), draw(first + (np.arange(40) < changed), scores), "torch")
    assert (found.images, found.changed, found.share) == (40, changed, 1 - changed / 40)
    # Two one-sided bounds of 95 % are the two-sided interval of 90 %.
    expected = binomtest(40 - changed, 40).proportion_ci(0.9, method="exact")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_flips_weigh_as_much_as_the_references_margin() -> None:
    margins = np.array([1.0, 2.0, 3.0, 4.0])
    scores = np.stack([margins, np.zeros(4)], axis=1)
    assert weigh_flips(scores, np.array([True, False, False, False])) == pytest.approx(0.1)
    assert weigh_flips(scores, np.array([False, False, False, True])) == pytest.approx(0.4)
    assert weigh_flips(scores, np.zeros(4, bool)) == 0 and weigh_flips(scores, np.ones(4, bool)) == 1
    # Of equal margins it is the share that changed; of none, and of one class, there is no weight.
    assert weigh_flips(np.tile([5.0, 4.0], (4, 1)), np.array([True, True, True, False])) == pytest.approx(0.75)
    assert all(weigh_flips(np.ones((4, k)), np.ones(4, bool)) is None for k in (1, 2))


def test_the_confidence_is_over_all_classes_where_both_predictions_store_what_it_takes() -> None:
    logits = np.random.default_rng(0).normal(0, 2, (2, 9, 30)).astype(np.float32)
    both = []
    for scores in logits:
        classes, best = rank_top(scores)
        ids = tuple(map(str, range(9)))
        both.append(Predictions(ids, None, classes, best, log_sum_exp(scores).astype(np.float32)))
    before, after = (softmax(scores.astype(np.float64), axis=1).max(axis=1) for scores in logits)
    found = measure_agreement(both[0], both[1], "torch")
    assert found.confidence_drift == pytest.approx((after - before).mean(), abs=1e-6)
    assert found.confidence_change == pytest.approx(np.abs(after - before).mean(), abs=1e-6)


def test_the_confidence_drifts_by_what_the_softmax_does() -> None:
    first = np.zeros(2, np.int32)
    reference, ours = np.log([[3.0, 1.0], [1.0, 1.0]]), np.log([[1.0, 1.0], [9.0, 1.0]])
    found = measure_agreement(draw(first, reference), draw(first, ours), "torch")
    # From 0.75 to 0.5, and from 0.5 to 0.9.
    assert found.confidence_drift == pytest.approx((-0.25 + 0.4) / 2)
    assert found.confidence_change == pytest.approx((0.25 + 0.4) / 2)
    assert found.confidence_among == "stored classes"
    # Where they say what a softmax over all classes divides by, that is taken: from 3/8 to 1/8, and from 1/8 to 9/16.
    whole = [
        replace(draw(first, scores), log_denominators=np.log(np.array(of, np.float32)))
        for scores, of in ((reference, [8, 8]), (ours, [8, 16]))
    ]
    found = measure_agreement(*whole, "torch")
    assert found.confidence_drift == pytest.approx((-2 / 8 + 7 / 16) / 2, abs=1e-6)
    assert found.confidence_among == "all classes"


@pytest.mark.parametrize(
    ("changed", "images", "outcome"),
    [(0, 299, "PASS"), (0, 298, "INCONCLUSIVE"), (1, 300, "INCONCLUSIVE"), (30, 300, "FAIL")],
)
def test_agreement_is_judged_by_its_bounds(changed: int, images: int, outcome: str) -> None:
    # Without a change the lower bound is 0.05 ** (1 / n), past 0.99 from 299 images on.
    found = judge_agreement("ort", agree(changed, images), 0.99)
    assert (found.outcome, found.gate, found.kind) == (outcome, "agreement", "accuracy")
    assert ("would settle it" in found.reason) is (outcome == "INCONCLUSIVE")


@pytest.mark.parametrize(
    ("hits", "count", "limit"), [(98, 98, 0.99), (299, 300, 0.99), (290, 300, 0.98), (1, 50, 0.05)]
)
def test_so_many_more_images_part_a_share_from_a_limit_and_fewer_do_not(hits: int, count: int, limit: float) -> None:
    more = images_to_part(hits, count, limit)
    assert more is not None

    def parts(images: int) -> bool:
        at = hits / count * images
        low = 0 if not at else beta.ppf(0.05, at, images - at + 1)
        high = 1 if at == images else beta.ppf(0.95, at + 1, images - at)
        return low > limit if hits / count > limit else high < limit

    assert parts(count + more) and (more == 0 or not parts(count + more - 1))
    assert images_to_part(99, 100, 0.99) is None and images_to_part(500, 500, 0.99) == 0


def test_no_drop_is_larger_than_the_share_that_changed() -> None:
    passed = judge_drop("ort", agree(0, 300), 1.0)
    assert passed.outcome == "PASS" and "not measured (no labels)" in passed.reason
    assert f"at most {100 * exact_bounds(0, 300)[1]:.2f} points" in passed.reason
    # A hundred of the images changed: whether any of them was right before only labels can tell.
    unknown = judge_drop("ort", agree(100, 300), 1.0)
    assert unknown.outcome == "INCONCLUSIVE" and unknown.reason.endswith("only labels can settle it")
    assert "labels, or about" in judge_drop("ort", agree(0, 100), 1.0).reason


def test_a_reference_that_always_names_one_class_proves_nothing() -> None:
    seen = Seen([str(n) for n in range(9)], np.full(9, -1), np.full(9, 4), 10)
    assert [suspicion.kind for suspicion in find_suspicions(seen)] == ["one class"]
    several = Seen(seen.ids, seen.labels, np.arange(9), 10)
    assert find_suspicions(several) == ()


def test_gates_that_need_labels_stay_open_without(tmp_path: Path) -> None:
    run = build_run(tmp_path / "run")
    agreement = Agreement(reference="torch", images=540, changed=0, share=1, low=0.99, high=1)
    unknown = {"hits": (), "metrics": {}, "versus": None}
    records = {
        name: AccuracyRecord.load(run / "evaluation" / f"{name}.json").model_copy(
            update={**unknown, "agreement": None if name == "torch" else agreement}
        )
        for name in ("torch", "onnxruntime")
    }
    published = {"top1": 0.7, "source": "a page"}
    limits = {"metrics": {"macro_recall": 0.5}, "at_least_published": True, "agreement": 0.99, "changed_share": 0.01}
    judged = judge_gates(make_recipe(gates=limits, reference=published), records, {})
    outcomes = {(gate.engine, gate.gate): gate.outcome for gate in judged}
    assert outcomes == {
        ("onnxruntime", "reference_drop_pp"): "PASS",
        ("onnxruntime", "changed_share"): "PASS",
        ("onnxruntime", "agreement"): "PASS",
        **{(name, "at_least_published"): "INCONCLUSIVE" for name in records},
        **{(name, "metrics.macro_recall"): "INCONCLUSIVE" for name in records},
    }
    assert all(NO_LABELS in gate.reason for gate in judged if gate.outcome == "INCONCLUSIVE")
    assert records["torch"].accuracy() is None and not records["torch"].labelled
