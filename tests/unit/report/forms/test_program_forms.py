"""CSV, JSON, JUnit and the badge: whole, escaped, and by the names that are documented."""

import csv
import dataclasses
import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pages import read_page
from run_folder import BF16, INT8, TORCH, Trial, build_run, write_verdict
from seatrial.report.forms import write_form
from seatrial.report.forms.rows import ENGINE_COLUMNS, SPEED_COLUMNS
from seatrial.report.forms.xml import quote, write_text
from seatrial.results.run_folder import Run, read_run
from seatrial.store.measurement import Energy, Measurement
from seatrial.store.records import GateResult

EVIL = "<b a='1'>&\"]]>\x01\x0b\ufffe|=cmd()"


def gate(engine: str, outcome: str, reason: str = "why") -> GateResult:
    return GateResult.model_validate(
        {"gate": "reference_drop_pp", "engine": engine, "outcome": outcome, "kind": "accuracy", "reason": reason}
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return read_run(build_run(tmp_path_factory.mktemp("run"), Trial(ships=(TORCH, BF16, INT8))))


def test_csv_has_a_row_for_each_engine_and_batch_size(run: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(write_form(run, "csv"))))
    assert list(rows[0]) == [*ENGINE_COLUMNS, *SPEED_COLUMNS]
    assert [(row["engine"], row["batch_size"]) for row in rows] == [
        (name, size) for name in ("torch", "openvino-bf16", "openvino-int8") for size in ("1", "4")
    ]
    # 516 of 540 images are right; a batch of 4 takes 25 ms on average.
    assert float(rows[2]["top1"]) == 516 / 540
    assert float(rows[3]["images_per_s"]) == 160.0
    assert (rows[0]["drop_pp"], rows[0]["best"], rows[0]["withheld"]) == ("", "true", "")


def test_energy_has_a_column_for_each_meter(tmp_path: Path) -> None:
    folder = build_run(tmp_path, Trial(ships=(TORCH,)))
    measured = Measurement.load(folder / "bench" / "torch.json")
    read = (Energy(scope="GPU board", joules=5.0, seconds=2, images=100),)
    points = tuple(point.model_copy(update={"energy": read}) for point in measured.points)
    measured.model_copy(update={"points": points}).save(folder / "bench" / "torch.json")
    row, *_ = csv.DictReader(io.StringIO(write_form(read_run(folder), "csv")))
    meters = ("cpu_packages", "gpu_board", "npu_card")
    assert [row[f"joules_per_image_{meter}"] for meter in meters] == ["", "0.05", ""]


def test_csv_keeps_an_engine_without_speed_and_starts_no_formula(tmp_path: Path) -> None:
    folder = build_run(tmp_path, Trial(ships=(TORCH, dataclasses.replace(BF16, name="=1+2"))))
    (folder / "bench" / "=1+2.json").unlink()
    *_, last = csv.DictReader(io.StringIO(write_form(read_run(folder), "csv")))
    assert (last["engine"], last["images_per_s"], last["images"]) == ("'=1+2", "", "540")


def test_json_names_every_figure(run: Run) -> None:
    found = json.loads(write_form(run, "json"))
    assert (found["schema"], found["outcome"], found["exit_code"]) == ("seatrial/report/1", "FAIL", 3)
    assert list(found["engines"][0]) == [*ENGINE_COLUMNS, "speeds"]
    assert list(found["engines"][0]["speeds"][0]) == list(SPEED_COLUMNS)
    assert found["doubts"][0]["engine"] == "openvino-bf16"


def test_the_page_lists_every_column() -> None:
    page = read_page("docs/report.md")
    for name, meaning in (ENGINE_COLUMNS | SPEED_COLUMNS).items():
        assert f"| `{name}` | {meaning} |" in page


def test_junit_has_a_suite_for_each_engine_and_a_case_for_each_gate(tmp_path: Path) -> None:
    folder = build_run(tmp_path, Trial(ships=(TORCH, BF16, INT8)))
    write_verdict(
        folder, [gate("openvino-bf16", "INCONCLUSIVE", EVIL), gate("openvino-int8", "FAIL"), gate("", "PASS")]
    )
    root = ElementTree.fromstring(write_form(read_run(folder), "junit"))
    counts = {suite.get("name"): suite.attrib for suite in root}
    assert list(counts) == ["torch", "openvino-bf16", "openvino-int8", "all engines"]
    assert [(c["tests"], c["failures"], c["errors"]) for c in counts.values()] == [
        ("0", "0", "0"),
        ("1", "0", "1"),
        ("1", "1", "0"),
        ("1", "0", "0"),
    ]
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("3", "1", "1")
    (error,) = root.iter("error")
    assert error.get("message") == error.text == "<b a='1'>&\"]]>\\x01\\x0b\\ufffe|=cmd()"
    assert error.get("type") == "INCONCLUSIVE"
    (failure,) = root.iter("failure")
    assert failure.get("type") == "FAIL"
    assert next(case.get("classname") for case in root.iter("testcase")) == "seatrial.digits.openvino-bf16"


def test_a_run_without_gates_is_an_error_in_junit(tmp_path: Path) -> None:
    folder = build_run(tmp_path)
    (folder / "verdict.json").unlink()
    root = ElementTree.fromstring(write_form(read_run(folder), "junit"))
    (error,) = root.iter("error")
    assert error.text == "NOT JUDGED: this run has no verdict." and root.get("errors") == "1"


def test_xml_shows_what_it_may_not_have_as_escapes() -> None:
    assert write_text("a\x00\x08\x0c\x1f\ud7ff\ufffd𝄞\tb") == "a\\x00\\x08\\x0c\\x1f\\ud7ff\ufffd𝄞\\tb"
    assert (
        ElementTree.fromstring(f"<x y={quote(EVIL + chr(10) + chr(9))}/>").get("y")
        == "<b a='1'>&\"]]>\\x01\\x0b\\ufffe|=cmd()\\n\\t"
    )


@pytest.mark.parametrize(
    ("outcome", "message", "colour"),
    [
        ("PASS", "PASS, drop 3.70 pp", "#116329"),
        ("FAIL", "FAIL, drop 3.70 pp", "#b3261e"),
        ("INCONCLUSIVE", "INCONCLUSIVE, drop 3.70 pp", "#7d4e00"),
    ],
)
def test_the_badge_has_the_colour_of_the_verdict(tmp_path: Path, outcome: str, message: str, colour: str) -> None:
    # 40 lost and 20 gained of 540: 20 / 540 = 3.70 points.
    folder = build_run(tmp_path, Trial(ships=(TORCH, INT8)))
    write_verdict(folder, [gate("openvino-int8", outcome)])
    text = write_form(read_run(folder), "badge")
    root = ElementTree.fromstring(text)
    assert root.get("aria-label") == f"seatrial: {message}"
    assert f'fill="{colour}"' in text and not re.search(r"https?://(?!www\.w3\.org/2000/svg)|<style|<image|@", text)
    widths = [int(rect.get("width", "0")) for rect in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert widths[0] == sum(widths[1:]) == int(root.get("width", "0"))
