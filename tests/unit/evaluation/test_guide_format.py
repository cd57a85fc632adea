import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from seatrial.evaluation.guide_format import (
    Course,
    Performance,
    encode_lines,
    encode_output,
    name_output,
    name_times,
    print_average,
    summarise_times,
    write_performance,
    write_report,
    write_summary,
)

TIMES = [4.0, 2.0, 3.0, 7.0]
"""Mean 4, median 3.5; the 99th percentile lies 0.97 of the way from 4 to 7: 6.91."""


def test_an_output_is_called_as_its_input_up_to_the_first_dot() -> None:
    assert name_output(Path("bins/ILSVRC2012_val_00000001.bin"), 0, "TXT") == "ILSVRC2012_val_00000001_0.txt"
    assert name_output(Path("a.b.JPEG"), 1, "BIN") == "a_1.bin"
    assert name_output(Path("pure_infer_data"), 0, "NPY") == "pure_infer_data_0.npy"


def test_text_is_six_decimals_and_a_blank_each_and_a_line_for_each_image() -> None:
    rows = np.array([[1.5, -0.25, 1e-9], [1234567.0, 0.1, -0.0]], dtype=np.float32)
    assert encode_output(rows, "TXT") == (
        b"1.500000 -0.250000 0.000000 \n1234567.000000 0.100000 -0.000000 \n"
    )  # float32's 0.1 is 0.10000000149


def test_text_is_what_numpy_writes_for_the_tool() -> None:
    rows = np.random.default_rng(1).normal(0, 30, (3, 1000)).astype(np.float32)
    buffer = io.BytesIO()
    for row in rows:
        np.savetxt(buffer, np.c_[row], fmt="%f", newline=" ")
        buffer.write(b"\n")
    assert encode_output(rows, "TXT") == buffer.getvalue()


def test_bin_and_npy_are_numpys_own(tmp_path: Path) -> None:
    rows = np.array([[1.5, -2.0, 0.25]], dtype=np.float32)
    rows.tofile(tmp_path / "a.bin")
    np.save(tmp_path / "a.npy", rows)
    assert encode_output(rows, "BIN") == (tmp_path / "a.bin").read_bytes()
    assert encode_output(rows, "NPY") == (tmp_path / "a.npy").read_bytes()


def test_times_become_the_tools_figures() -> None:
    figures = {"min": 2.0, "max": 7.0, "mean": 4.0, "median": 3.5, "percentile(99%)": pytest.approx(6.91), "count": 4}
    assert summarise_times(TIMES) == figures
    assert list(summarise_times(())) == list(figures)
    assert set(summarise_times(()).values()) == {0}


def test_the_printed_lines_are_the_tools() -> None:
    performance = Performance(16, [2.0, 3.0], [0.5, 0.5], [0.25, 0.75])
    block = write_performance(performance)
    assert block == [
        "[INFO] -----------------Performance Summary------------------",
        "[INFO] NPU_compute_time (ms): min = 2.0, max = 3.0, mean = 2.5, median = 2.5, percentile(99%) = 2.99",
        "[INFO] throughput 1000*batchsize.mean(16)/NPU_compute_time.mean(2.5): 6400.0",
        "[INFO] ------------------------------------------------------",
    ]
    everything = write_performance(performance, everything=True)
    assert everything[1] == (
        "[INFO] H2D_latency (ms): min = 0.5, max = 0.5, mean = 0.5, median = 0.5, percentile(99%) = 0.5"
    )
    assert everything[3].startswith("[INFO] D2H_latency (ms): min = 0.25, max = 0.75, mean = 0.5, median = 0.5, perc")
    assert [everything[i] for i in (0, 2, 4, 5)] == block


def test_the_tools_own_figures_come_out_again() -> None:
    # A log of ais_bench: ResNet50 at batch 64 on a 310P.
    performance = Performance(64, [13.476432624680307])
    line = write_performance(performance)[2]
    assert (
        line == "[INFO] throughput 1000*batchsize.mean(64)/NPU_compute_time.mean(13.476432624680307): 4749.03127425521"
    )


def test_no_executions_give_zeros() -> None:
    assert write_performance(Performance(8, []))[2].endswith("batchsize.mean(8)/NPU_compute_time.mean(0.0): 0")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_summary_is_one_json_document(count: int) -> None:
    performance = Performance(4, TIMES, [0.5], [])
    files = [(f"bins/ä{i}.bin", f"out/ä{i}_0.txt") for i in range(count)]
    text = write_summary(iter(files), ["seatrial", "infer"], performance, 77)
    told = {
        "filesinfo": {str(i): {"infiles": [source], "outfiles": [output]} for i, (source, output) in enumerate(files)},
        "args": ["seatrial", "infer"],
        **name_times(performance),
        "throughput": 1000.0,
        "npu_compute_time_list": TIMES,
        "pid": 77,
    }
    assert text == json.dumps(told), "to the byte, as the tool dumps it"
    assert told["NPU_compute_time"]["count"] == 4 and told["H2D_latency"]["max"] == 0.5
    assert told["D2H_latency"]["count"] == 0


def test_the_older_tools_report() -> None:
    # 50,000 images in 205.733 s, as in a published report, whose figures these are but for the last digit.
    performance = Performance(1, [1000 / 382.328] * 10, [0.5] * 10, [0.242] * 10)
    course = Course(images=50000, batches=50000, read_s=193.078, infer_s=204.553, stored_s=205.733)
    assert write_report(performance, course) == (
        "[e2e] throughputRate: 243.033, latency: 205733\n"
        "[data read] throughputRate: 258.963, moduleLatency: 3.86156\n"
        "[preprocess] throughputRate: 258.963, moduleLatency: 3.86156\n"
        "[infer] throughputRate: 244.435, Interface throughputRate: 382.328, moduleLatency: 3.35756\n"
        "[post] throughputRate: 243.033, moduleLatency: 4.11466\n"
    )


def test_the_guides_scripts_find_the_rate_in_the_report() -> None:
    performance = Performance(16, [1000 * 16 / 519.634])
    text = write_report(performance, Course(images=160, batches=10, read_s=1.0, infer_s=1.5, stored_s=2.0))
    # As test/parse.py of ModelZoo reads it: the item between the eighth colon and the comma after it.
    assert re.findall(":(.*?),", text.replace("\n", ",") + ",")[7] == " 519.634"
    assert text.splitlines()[4] == "[post] throughputRate: 5, moduleLatency: 200", "batches, not images"


def test_msame_breaks_its_lines_after_a_hundred_numbers() -> None:
    rows = np.arange(404, dtype=np.float32).reshape(2, 202) / 3
    first, second = encode_lines(rows, "TXT").decode().split("\n\n")
    lines = first.split("\n")
    assert [len(line.split()) for line in lines] == [100, 100, 2] and first.endswith("66.6667 67 ")
    assert second.startswith("67.3333 67.6667 68 ")
    assert encode_lines(rows, "BIN") == rows.tobytes()


def test_msame_states_its_average_with_and_without_the_first() -> None:
    assert print_average(Performance(1, [4.0, 2.0, 3.0])) == [
        "Inference time: 4ms",
        "Inference time: 2ms",
        "Inference time: 3ms",
        "Inference average time : 3.00 ms",
        "Inference average time without first time: 2.50 ms",
    ]
    assert print_average(Performance(1, [4.0]))[-1] == "Inference average time : 4.00 ms"
