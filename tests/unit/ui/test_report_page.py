"""A run's report, as its records are now."""

from pathlib import Path

import pytest

from page_client import open_client
from run_folder import ORT, TORCH, Trial, build_run
from sealed import edit_record
from seatrial.ui import site


@pytest.fixture
def root(tmp_path: Path) -> Path:
    build_run(tmp_path / "a", Trial(ships=(TORCH, ORT), images=60))
    return tmp_path


def test_it_is_the_report_under_links(root: Path) -> None:
    answer = open_client(root).get("/report?run=a")
    assert answer.status_code == 200
    assert "PASS" in answer.text and "How to reproduce it" in answer.text
    assert '<a href="/?beside=a">Compare</a>' in answer.text
    policy = answer.headers["content-security-policy"]
    assert "script-src" not in policy and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy


def test_what_is_stored_beside_the_records_is_not_shown(root: Path) -> None:
    (root / "a" / "report.html").write_text("<script>alert(1)</script> an older report")
    assert "an older report" not in open_client(root).get("/report?run=a").text


def test_it_is_written_anew_only_when_something_in_the_folder_changed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    write = site.write_html
    monkeypatch.setattr(site, "write_html", lambda run, links: written.append(run) or write(run, links))
    client = open_client(root)
    before = client.get("/report?run=a").text
    assert client.get("/report?run=a").text == before and len(written) == 1
    edit_record(root / "a" / "verdict.json", outcome="FAIL", exit_code=3)
    assert "FAIL" in client.get("/report?run=a").text and len(written) == 2


def test_a_run_under_way_has_a_report_of_what_there_is(root: Path) -> None:
    for path in [*(root / "a" / "bench").iterdir(), root / "a" / "verdict.json"]:
        path.unlink()
    assert "not been judged" in open_client(root).get("/report?run=a").text


def test_a_damaged_record_is_named(root: Path) -> None:
    (root / "a" / "evaluation" / "torch.json").write_text("{}")
    answer = open_client(root).get("/report?run=a")
    assert answer.status_code in (404, 422) and "torch.json" in answer.text
