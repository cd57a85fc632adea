import math

import pytest

from run_folder import make_point
from seatrial.results.speed import Rate, divide, find_memory, measure_rate


def test_processes_that_agree_leave_no_doubt() -> None:
    rate = measure_rate([make_point(4, (10.0, 10.0)), make_point(4, (10.0,))])
    assert (rate.value, rate.bounds) == (pytest.approx(400), pytest.approx((400, 400)))


def test_two_processes_have_students_interval_on_the_logarithm() -> None:
    # 100 and 200 images/s: the logarithms differ by ln 2; their deviation is ln 2 / √2, that of their mean ln 2 / 2;
    # Student's t of 97.5 % at one degree of freedom is tan(0.475 π).
    rate = measure_rate([make_point(1, (10.0, 10.0)), make_point(1, (5.0, 5.0, 5.0, 5.0))])
    half = math.tan(0.475 * math.pi) * math.log(2) / 2
    assert rate.value == pytest.approx(6 / 0.040)
    assert rate.bounds == pytest.approx((150 * math.exp(-half), 150 * math.exp(half)))


def test_one_process_is_cut_into_stretches() -> None:
    # Four samples, two stretches: as two processes of two samples each.
    one = measure_rate([make_point(2, (9.0, 11.0, 19.0, 21.0))])
    two = measure_rate([make_point(2, (9.0, 11.0)), make_point(2, (19.0, 21.0))])
    assert one == two
    # Forty samples, ten stretches that are alike although each scatters.
    even = measure_rate([make_point(1, (8.0, 12.0, 9.0, 11.0) * 10)])
    assert even.bounds == pytest.approx((100, 100))


def test_a_single_sample_has_no_interval() -> None:
    assert measure_rate([make_point(8, (20.0,))]) == Rate(400.0)


def test_streams_work_side_by_side() -> None:
    assert measure_rate([make_point(1, (10.0, 10.0), streams=4)]).value == pytest.approx(400)


def test_a_ratio_has_both_errors() -> None:
    # 3 and 4 in a hundred at right angles are 5 in a hundred, on the logarithm.
    of, to = (
        Rate(200, (200 * math.exp(-0.03), 200 * math.exp(0.03))),
        Rate(100, (100 * math.exp(-0.04), 100 * math.exp(0.04))),
    )
    ratio = divide(of, to)
    assert ratio.value == 2
    assert ratio.bounds == pytest.approx((2 * math.exp(-0.05), 2 * math.exp(0.05)))


def test_without_samples_there_is_only_a_figure() -> None:
    assert divide(Rate(200), Rate(100, (99, 101))) == divide(Rate(200, (198, 202)), Rate(100)) == Rate(2)
    assert Rate(10, (9, 11)).scaled(4) == Rate(40, (36, 44))
    assert Rate(10).scaled(4) == Rate(40)


def test_memory_of_the_device_and_of_the_machine_are_not_mixed() -> None:
    """The driver told of one of two processes; what the other took of the machine is no memory of the device."""
    told, untold = make_point(4, (10.0,)).model_copy(update={"device_memory_bytes": 10}), make_point(4, (10.0,))
    assert find_memory([told, untold]) == find_memory([untold, told]) == 10
    assert find_memory([untold]) == find_memory([untold.model_copy(update={"device_memory_bytes": 0})])
    assert find_memory([untold]) == untold.peak_rss_bytes
