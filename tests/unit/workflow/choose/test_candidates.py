"""How a candidate is judged, and which images choose the layers of a mixed one."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from run_folder import INT8, ORT, TORCH, Trial, build_run
from seatrial.data.images import LabelledImage
from seatrial.engines.base import GraphFile
from seatrial.evaluation.exact_drop import drop_interval
from seatrial.evaluation.sequential import ALPHA
from seatrial.evaluation.statistics import Paired
from seatrial.metrics.inequality import list_terms
from seatrial.progress import silent
from seatrial.results.run import Run
from seatrial.results.run_folder import read_records
from seatrial.store.records import EarlyStopping, Suspicion
from seatrial.workflow.choose.candidates import (
    MOST_TO_MIX,
    Candidate,
    Candidates,
    judge_candidate,
    list_unjudged,
    may_mend,
    split_images,
)
from seatrial.workflow.choose.spec import Subject
from seatrial.workflow.compile import parse_engine


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return read_records(build_run(tmp_path_factory.mktemp("run"), Trial((TORCH, ORT, INT8))))


def judge(run: Run, name: str, limit_pp: float, alpha: float = 0.05) -> str:
    return judge_candidate(run.recipe, run.accuracy[name], run.accuracy["torch"], limit_pp, alpha).outcome


def test_the_drop_is_judged_by_the_limit_that_is_given_and_exact_bounds(run: Run) -> None:
    low, high = (100 * bound for bound in drop_interval(Paired(476, 40, 20, 4), 0.95))
    assert judge(run, "openvino-int8", high + 0.1) == "PASS"
    assert judge(run, "openvino-int8", low - 0.1) == "FAIL"
    assert judge(run, "openvino-int8", 100 * 20 / 540) == "INCONCLUSIVE"
    # Many candidates must each be surer.
    assert judge(run, "openvino-int8", high + 0.1, 0.05 / 20) == "INCONCLUSIVE"


def test_the_reference_keeps_its_own_accuracy(run: Run) -> None:
    judged = judge_candidate(run.recipe, run.accuracy["torch"], run.accuracy["torch"], 0.1, 0.05)
    assert (judged.outcome, judged.reason) == ("PASS", "it is the reference itself")


def test_a_verdict_of_early_stopping_stands(run: Run) -> None:
    stopped = EarlyStopping(limit_pp=5, outcome="FAIL", looks=1, confidence=0.99, of_images=1000)
    record = run.accuracy["onnxruntime"].model_copy(update={"early_stopping": stopped})
    judged = judge_candidate(run.recipe, record, run.accuracy["torch"], 5, 0.05)
    assert judged.outcome == "FAIL" and "certain after" in judged.reason


def test_another_gate_of_the_card_must_hold_too(run: Run) -> None:
    gates = run.recipe.gates.model_copy(update={"metrics": {"top1": 0.999}})
    strict = run.recipe.model_copy(update={"gates": gates})
    judged = judge_candidate(strict, run.accuracy["onnxruntime"], run.accuracy["torch"], 90, 0.05)
    assert judged.outcome == "FAIL" and "at least 99.90%" in judged.reason


def test_a_reference_that_cannot_be_believed_leaves_every_candidate_open(run: Run) -> None:
    """Early stopping sees fewer images than the reference was evaluated on, and so may suspect nothing by itself."""
    doubtful = Suspicion(kind="far below", reason="top-1 is ten points under the card's", fix="look for the cause")
    versus = run.accuracy["onnxruntime"].versus
    assert versus is not None
    doubted = versus.model_copy(update={"suspicions": (doubtful,)})
    record = run.accuracy["onnxruntime"].model_copy(update={"versus": doubted})
    judged = judge_candidate(run.recipe, record, run.accuracy["torch"], 5, 0.05)
    assert judged.outcome == "INCONCLUSIVE" and "ten points under" in judged.reason
    assert judge(run, "onnxruntime", 5) == "PASS"


def test_what_is_not_judged_is_named(run: Run) -> None:
    changes = {"require": ("top1 >= 0.5", "best(openvino) >= 10"), "speed": ("best >= 3",), "same_at_batches": (1, 2)}
    gates = run.recipe.gates.model_copy(update=changes)
    assert list_terms("best(openvino) >= 10")
    assert list_unjudged(gates) == ("best >= 3", "best(openvino) >= 10", "same_at_batches (1, 2)")
    # Nothing is measured when a candidate is judged, so none of these would ever fail.
    any_engine = gates.model_copy(update={"require": ("images_per_s >= 10", "size_bytes < 1e6", "top1 >= 0.5")})
    named = ("best >= 3", "images_per_s >= 10", "size_bytes < 1e6", "same_at_batches (1, 2)")
    assert list_unjudged(any_engine) == named
    assert list_unjudged(gates, ("top1 >= 0.9",))[-1] == "top1 >= 0.9"


@pytest.mark.parametrize(("label", "verdicts"), [(1, 3), (-1, 2)])
def test_verdicts_share_the_error_among_candidates_and_what_may_come_in_their_places(label: int, verdicts: int) -> None:
    image = LabelledImage("a.jpg", Path("a.jpg"), label)
    subject = SimpleNamespace(images=(image,), folder=Path("run"), calibration=Path("calibration"))
    candidates = Candidates(cast(Subject, subject), silent)
    for name in ("onnxruntime:int8", "onnxruntime:fp32"):
        candidates.by_name[name] = Candidate(parse_engine(name, {}), cast(GraphFile, None))
    assert candidates._alpha == ALPHA / verdicts


@pytest.mark.parametrize(("count", "chosen"), [(24, 6), (100, 25), (20_000, MOST_TO_MIX)])
def test_no_image_both_chooses_layers_and_judges_them(count: int, chosen: int) -> None:
    images = tuple(LabelledImage(f"{i}.jpg", Path(f"{i}.jpg"), i % 4) for i in range(count))
    part, others = split_images(images)
    assert len(part) == chosen and len(part) + len(others) == count
    assert not {image.id for image in part} & {image.id for image in others}
    assert [image.id for image in part] != [image.id for image in images[:chosen]]


def test_layers_in_float_are_for_what_int8_lost_not_for_want_of_images(run: Run) -> None:
    record = run.accuracy["openvino-int8"]  # It lost 3.7 points.
    assert may_mend(record, 5) and not may_mend(record, 9) and may_mend(None, 1)
