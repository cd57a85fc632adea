"""The list of runs: what it shows, in which order, and that it shows nothing that is no longer so."""

import os
import re
import shutil
import tracemalloc
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from page_client import open_client
from run_folder import BF16, INT8, ORT, TORCH, Trial, build_run
from sealed import edit_record
from seatrial.report.tables import NOTHING
from seatrial.results.find_runs import FoundRun
from seatrial.results.run_folder import read_records
from seatrial.results.summarise import summarise
from seatrial.store.files import locked
from seatrial.store.summary import SUMMARY
from seatrial.ui import run_index, select_runs
from seatrial.ui.site import open_site


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs, one with a summary, and one that is damaged; read only."""
    folder = tmp_path_factory.mktemp("runs")
    build_run(folder / "new" / "good", Trial(ships=(TORCH, ORT), images=540, title="Good one"))
    summarise(read_records(folder / "new" / "good")).save(folder / "new" / "good" / SUMMARY)
    build_run(folder / "bad", Trial(ships=(TORCH, BF16, INT8), images=540, title="Bad <b>one</b>"))
    build_run(folder / "open", Trial(ships=(TORCH, INT8), images=540, gate_pp=3.0))
    build_run(folder / "damaged", Trial(images=60))
    (folder / "damaged" / "verdict.json").write_text("{")
    for place, name in enumerate(("damaged", "open", "new/good", "bad")):
        path = folder / name / "run.json"
        ns = 1_700_000_000_000_000_000 + place * 10**9

        os.utime(path, ns=(ns, ns))
    return folder


def list_rows(client: TestClient, address: str) -> list[dict[str, str]]:
    """The table's rows by heading, tags left out."""
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    body = answer.text.partition("<tbody>")[2].partition("</tbody>")[0]
    rows = []
    for row in body.split("<tr>")[1:]:
        cells = re.findall(r'<t[hd][^>]*?(?:data-label="([^"]*)")?>(.*?)</t[hd]>', row, re.DOTALL)
        texts = {name or "run": unescape(" ".join(re.sub("<[^>]*>", " ", text).split())) for name, text in cells[:-1]}
        rows.append(texts)
    return rows


def list_paths(client: TestClient, address: str) -> list[str]:
    return [row["run"].split()[0] for row in list_rows(client, address)]


def test_it_shows_what_each_run_came_to(root: Path) -> None:
    rows = {row["run"].split()[0]: row for row in list_rows(open_client(root), "/")}
    good = rows["new/good"]
    assert good["run"] == "new/good Good one" and good["Outcome"] == "PASS"
    assert good["Model"] == "digits torch, onnxruntime"
    # 516 of 540 are right; the interval is Clopper and Pearson's.
    assert good["Top-1, %"] == "95.56 (93.46 to 97.13)"
    assert good["Largest drop"].startswith("0.00 (") and good["Best images/s"].endswith(" onnxruntime")
    assert rows["bad"]["run"] == "bad Bad <b>one</b>" and rows["bad"]["Outcome"] == "FAIL"
    assert rows["bad"]["Largest drop"].startswith("3.70 (") and rows["bad"]["Largest drop"].endswith(" openvino-int8")
    assert rows["open"]["Outcome"] == "INCONCLUSIVE"
    assert rows["damaged"]["Outcome"] == "not read" and "verdict.json is damaged" in rows["damaged"]["run"]


@pytest.mark.parametrize(
    ("address", "paths"),
    [
        ("/", ["bad", "new/good", "open", "damaged"]),
        ("/?order=begun&way=other", ["damaged", "open", "new/good", "bad"]),
        ("/?order=path", ["bad", "damaged", "new/good", "open"]),
        ("/?order=path&way=other", ["open", "new/good", "damaged", "bad"]),
        ("/?order=speed", ["bad", "open", "new/good", "damaged"]),
        ("/?order=drop&way=other", ["new/good", "bad", "open", "damaged"]),
        ("/?order=outcome", ["bad", "open", "new/good", "damaged"]),
        ("/?order=nonsense&page=x", ["bad", "new/good", "open", "damaged"]),
    ],
)
def test_it_is_in_the_order_that_was_chosen(root: Path, address: str, paths: list[str]) -> None:
    assert list_paths(open_client(root), address) == paths


@pytest.mark.parametrize(
    ("address", "paths"),
    [
        ("/?words=GOOD", ["new/good"]),
        ("/?words=one+new", ["new/good"]),
        ("/?words=nothing", []),
        ("/?outcome=FAIL", ["bad"]),
        ("/?outcome=INCONCLUSIVE", ["open"]),
        ("/?outcome=not+read", ["damaged"]),
        ("/?engine=openvino-bf16", ["bad"]),
        ("/?model=digits&order=path", ["bad", "new/good", "open"]),
        ("/?model=other", []),
        ("/?engine=openvino-int8&words=open&outcome=INCONCLUSIVE", ["open"]),
    ],
)
def test_it_is_filtered(root: Path, address: str, paths: list[str]) -> None:
    client = open_client(root)
    assert list_paths(client, address) == paths
    assert f"{len(paths)} of 4 runs" in client.get(address).text


def test_it_is_shown_a_page_at_a_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select_runs, "PAGE", 3)
    client = open_client(root)
    assert list_paths(client, "/?order=path") == ["bad", "damaged", "new/good"]
    assert list_paths(client, "/?order=path&page=2") == ["open"]
    assert list_paths(client, "/?order=path&page=9") == ["open"]
    page = client.get("/?order=path&words=digits").text
    assert "3 of 4 runs" in page and "next" not in page
    assert '<a href="/?order=path&amp;page=2">next</a>' in client.get("/?order=path").text


def test_nothing_in_a_run_becomes_markup(tmp_path: Path) -> None:
    evil = '<script>alert(1)</script>"\u202e'
    build_run(tmp_path / "a<img src=x>", Trial(images=60, title=evil))
    client = open_client(tmp_path)
    for page in ("/", f"/?words={evil}&beside={evil}", f"/?model={evil}&engine={evil}"):
        text = client.get(page).text
        assert "<script>alert" not in text and "<img src=x" not in text and "\u202e" not in text


def test_figures_of_changed_records_are_not_shown(root: Path, tmp_path: Path) -> None:
    for name in ("good", "other"):
        shutil.copytree(root / "new" / "good", tmp_path / name)
    client = open_client(tmp_path)
    assert [row["Outcome"] for row in list_rows(client, "/?order=top1")] == ["PASS", "PASS"]
    edit_record(tmp_path / "good" / "verdict.json", outcome="FAIL", exit_code=3)
    assert list_paths(client, "/?outcome=FAIL") == ["good"]
    assert {row["run"].split()[0]: row["Outcome"] for row in list_rows(client, "/")} == {
        "good": "FAIL",
        "other": "PASS",
    }
    (tmp_path / "good" / "verdict.json").unlink()
    assert list_paths(client, "/?outcome=not+judged") == ["good"]
    shutil.rmtree(tmp_path / "good")
    assert list_paths(client, "/?order=top1") == ["other"]


@pytest.mark.parametrize("order", ["top1", "begun"])
def test_no_figure_is_shown_that_the_files_no_longer_hold(root: Path, tmp_path: Path, order: str) -> None:
    def list_reasons(client: TestClient) -> dict[str, str]:
        rows = list_rows(client, f"/?order={order}")
        assert all(row["Outcome"] == "not read" and row["Top-1, %"] == NOTHING for row in rows)
        return {row["run"].split()[0]: row["run"] for row in rows}

    for name in ("edited", "junk", "link"):
        shutil.copytree(root / "new" / "good", tmp_path / "runs" / name)
    client = open_client(tmp_path / "runs")
    assert [row["Outcome"] for row in list_rows(client, f"/?order={order}")] == ["PASS"] * 3
    record = tmp_path / "runs" / "edited" / "evaluation" / "torch.json"
    # Its last line, with the checksum, is as it was, and so is its size.
    record.write_text(record.read_text().replace("{", "[", 1))
    (tmp_path / "runs" / "junk" / "evaluation" / "onnxruntime.parquet").write_bytes(b"junk")
    link = tmp_path / "runs" / "link" / "evaluation" / "torch.json"
    link.rename(tmp_path / "torch.json")
    # A record's size and time are as they were.
    link.symlink_to(tmp_path / "torch.json")
    for asked in (client, open_client(tmp_path / "runs")):
        reasons = list_reasons(asked)
        assert "torch.json is damaged" in reasons["edited"]
        assert "onnxruntime.parquet is altered" in reasons["junk"]
        assert "leads out of" in reasons["link"]


@pytest.mark.parametrize("name", ["run.json", SUMMARY, "evaluation/torch.json", "verdict.json"])
def test_a_huge_record_is_refused_without_being_read(root: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(root / "new" / "good", tmp_path / "a")
    os.truncate(tmp_path / "a" / name, 3 * 2**30)
    tracemalloc.start()
    try:
        (row,) = list_rows(open_client(tmp_path), "/?order=top1")
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()
    if name == SUMMARY:  # The records say the same.
        assert row["Outcome"] == "PASS"
    else:
        assert f"{name} is no record (it has more than 67,108,864 bytes)" in row["run"]


def test_a_run_that_was_mended_is_read_again(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "damaged", tmp_path / "a")
    client = open_client(tmp_path)
    assert list_paths(client, "/?outcome=not+read") == ["a"]
    shutil.copy(root / "new" / "good" / "verdict.json", tmp_path / "a" / "verdict.json")
    assert list_paths(client, "/?outcome=not+read") == []
    (tmp_path / "a" / "evaluation" / "torch.json").write_text("[]")
    assert list_paths(client, "/?outcome=not+read") == ["a"]


def test_runs_that_are_still_being_read_are_counted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_index, "PATIENCE_S", 0.0)
    left: list[FoundRun] = []
    read_on = run_index.RunIndex._read_on
    monkeypatch.setattr(run_index.RunIndex, "_read_on", lambda index, runs: left.extend(runs))
    site = open_site(root)
    client = open_client(root, site)
    left.clear()
    page = client.get("/?order=top1").text
    assert "4 runs are still being read, and are not among these yet" in page and "0 of 4 runs" in page
    assert len(left) == 4
    first = client.get("/").text
    assert "being read" in first and "4 of 4 runs" in first
    # In the background:
    read_on(site.index, left[:4])
    assert site.index._reader is not None
    site.index._reader.join(60)
    page = client.get("/?order=top1").text
    assert "4 of 4 runs" in page and "still being read" not in page


def test_a_run_in_which_a_process_works_is_running(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "open", tmp_path / "a")
    shutil.copytree(root / "open", tmp_path / "b")
    client = open_client(tmp_path)
    with locked(tmp_path / "b"):
        rows = {row["run"].split()[0]: row["Outcome"] for row in list_rows(client, "/")}
    assert rows == {"a": "INCONCLUSIVE", "b": "INCONCLUSIVE running"}
    assert "running" not in client.get("/").text


def test_an_empty_folder_says_how_to_begin(tmp_path: Path) -> None:
    page = open_client(tmp_path).get("/").text
    assert "There is no run in this folder yet" in page and f"--output {tmp_path}/NAME" in page


def test_a_folder_that_is_a_run_itself_is_listed(root: Path) -> None:
    client = open_client(root / "bad")
    assert list_paths(client, "/") == ["."]
    assert client.get("/report", params={"run": "."}).status_code == 200
