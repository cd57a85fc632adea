"""Every quantity of a gate, worked by hand on one small run."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from scipy.stats import binomtest

from run_folder import BF16, TORCH, Trial, build_run
from seatrial.compare.gates import gather_evidence
from seatrial.compare.quantities import QUANTITIES, Amount, Evidence
from seatrial.compare.speed_column import SpeedFigure
from seatrial.results.run_folder import read_records
from seatrial.results.speed import Rate

NAME = "openvino-bf16"


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Evidence]:
    """torch gets rows 0 to 23 of 540 wrong, openvino-bf16 1 to 24; odd rows have the label nowhere else."""
    often = replace(BF16, batch_ms={size: ms * 250 for size, ms in BF16.batch_ms.items()})
    run = read_records(build_run(tmp_path_factory.mktemp("run") / "run", Trial(ships=(TORCH, often))))
    built = {name: manifest.model_copy(update={"compile_s": 1.5}) for name, manifest in run.built.items()}
    return {
        name: gather_evidence(name, run.accuracy[name], run.measurements[name], built[name], 1000)
        for name in run.engines
    }


# Wrong are 24 rows; of these the 12 even ones have the label second.
WRONG = (2, 3, 3, 3, 3, 2, 2, 2, 2, 2)
"""By class, of 54 images each; they are taken for the next class."""
TAKEN = tuple(54 - wrong + WRONG[label - 1] for label, wrong in enumerate(WRONG))
"""Images that are taken for a class."""
EXPECTED: Mapping[str, float] = {
    "top1": 516 / 540,
    **{f"top{k}": 528 / 540 for k in (2, 3, 4, 5)},
    "macro_recall": 516 / 540,
    "macro_precision": sum((54 - w) / taken for w, taken in zip(WRONG, TAKEN, strict=True)) / 10,
    "macro_f1": sum(2 * (54 - w) / (54 + taken) for w, taken in zip(WRONG, TAKEN, strict=True)) / 10,
    "drop_pp": 0.0,
    "agreement": 538 / 540,
    "changed_share": 2 / 540,
    # Batches of 1 take 8 ms, of 4 take 25 ms: the best is 160 images/s.
    "images_per_s": 160.0,
    "best": 160.0,
    "at": 160.0,
    "mean_ms": 25.0,
    "p50_ms": 25.0,
    "p90_ms": 26.0,
    "p95_ms": 26.0,
    "p99_ms": 26.0,
    "memory_bytes": 600 * 2**20,
    "size_bytes": 1000.0,
    "load_s": 0.4,
    "compile_s": 1.5,
}


@pytest.mark.parametrize("name", QUANTITIES)
def test_a_quantity_is_read(name: str, evidence: dict[str, Evidence]) -> None:
    size = 4 if QUANTITIES[name].batch == "required" else None
    found = QUANTITIES[name].read(evidence[NAME], size)
    assert isinstance(found, Amount)
    assert found.value == pytest.approx(EXPECTED[name], abs=1e-6)
    assert (found.bounds is not None) == bool(QUANTITIES[name].interval)


@pytest.mark.parametrize(("name", "samples"), [("p90_ms", 44), ("p95_ms", 90), ("p99_ms", 459)])
def test_few_samples_state_no_percentile(name: str, samples: int) -> None:
    def read(count: int) -> Amount | str:
        figure = SpeedFigure(Rate(100), 1, times_ms={name: 9.0}, samples=count)
        return QUANTITIES[name].read(Evidence("npu", figures={1: figure}), None)

    assert read(samples) == Amount(9.0)
    assert str(read(samples - 1)).startswith(f"{samples - 1} samples of 'npu' are too few to state a ")


@pytest.mark.parametrize("name", QUANTITIES)
def test_a_quantity_of_nothing_says_why(name: str) -> None:
    found = QUANTITIES[name].read(Evidence("npu"), None)
    assert isinstance(found, str) and "'npu'" in found


def test_shares_have_exact_bounds(evidence: dict[str, Evidence]) -> None:
    exact = binomtest(516, 540).proportion_ci(0.9, "exact")
    found = QUANTITIES["top1"].read(evidence[NAME], None)
    assert isinstance(found, Amount) and found.bounds == pytest.approx((exact.low, exact.high))


def test_a_batch_size_may_be_named(evidence: dict[str, Evidence]) -> None:
    rate, time = (QUANTITIES[name].read(evidence[NAME], 1) for name in ("images_per_s", "p50_ms"))
    assert isinstance(rate, Amount) and rate.value == pytest.approx(125)
    assert isinstance(time, Amount) and time.value == pytest.approx(8)
    for name in ("images_per_s", "p99_ms", "memory_bytes", "load_s"):
        assert QUANTITIES[name].read(evidence[NAME], 2) == f"'{NAME}' was not measured at batch 2"


def test_the_reference_has_no_drop(evidence: dict[str, Evidence]) -> None:
    for name in ("drop_pp", "agreement", "changed_share"):
        assert QUANTITIES[name].read(evidence["torch"], None) == "'torch' was compared with no reference"


def test_every_quantity_has_an_example() -> None:
    assert set(EXPECTED) == set(QUANTITIES)
