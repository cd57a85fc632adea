"""Two runs side by side: the figures of `seatrial compare`, its refusals, and its command."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from page_client import open_client
from pages_shown import find_text
from run_folder import INT8, ORT, TORCH, Ship, Trial, build_run
from sealed import edit_json, replace_in_record
from seatrial.cli import run_cli
from seatrial.compare.verdict import reach_verdict
from seatrial.store.records import GateResult
from seatrial.ui import compare_page
from seatrial.ui.pages import mark_code
from seatrial.workflow.compare.runs import ChangeSpec, compare_runs


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    build_run(folder / "before", Trial(ships=(TORCH, ORT)))
    worse = Ship("onnxruntime", "onnxruntime", wrong=frozenset(range(64)), batch_ms=ORT.batch_ms)
    build_run(folder / "deep" / "after", Trial(ships=(TORCH, worse, INT8)))
    return folder


@pytest.fixture
def client(root: Path) -> TestClient:
    return open_client(root)


def test_it_judges_as_the_command_does(client: TestClient, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = client.get("/compare?before=before&after=deep/after")
    assert answer.status_code == 200
    shown = find_text(answer.text)
    assert "deep/after against before" in shown and "only in after: openvino-int8" in shown
    # 40 of 540 images were lost: 7.41 points.
    assert "top-1 fell 7.41 points against before" in shown
    command = next(line for line in answer.text.splitlines() if "seatrial compare" in line)
    words = shlex.split(find_text(command).removesuffix("Copy"))
    assert run_cli(words[1:]) == 3
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1].startswith("FAIL: ")
    for line in printed[-6:-1]:
        assert " ".join(line.split()) in shown, line


def test_the_worst_comes_first_and_what_failed_is_what_is_said(tmp_path: Path) -> None:
    slow = {size: tuple(2 * sample for sample in samples) for size, samples in ORT.batch_ms.items()}
    build_run(tmp_path / "a", Trial(ships=(TORCH, ORT)))
    build_run(tmp_path / "b", Trial(ships=(TORCH, Ship("onnxruntime", "onnxruntime", wrong=ORT.wrong, batch_ms=slow))))
    shown = find_text(open_client(tmp_path).get("/compare?before=a&after=b").text)
    assert "An engine is surely slower than is allowed." in shown and "more accuracy" not in shown
    outcomes = [shown.find(f"{outcome} ") for outcome in ("FAIL onnxruntime", "PASS")]
    assert 0 < outcomes[0] < outcomes[1]


def test_what_is_open_for_several_engines_is_folded_and_commands_are_for_this_run(
    client: TestClient, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = compare_runs([root / "before", root / "deep" / "after"], ChangeSpec())
    doubt = "one class takes all; `seatrial diagnose RUN` names the stage"
    doubts = tuple(
        GateResult(gate="plausible", engine=name, outcome="INCONCLUSIVE", kind="accuracy", reason=f"{whose}: {doubt}")
        for name in ("torch", "onnxruntime")
        for whose in (found.before, found.after)
    )
    verdict = reach_verdict("digits", (*doubts, *found.verdict.gates))
    monkeypatch.setattr(compare_page, "compare_runs", lambda *given: replace(found, verdict=verdict))
    page = client.get("/compare?before=before&after=deep/after").text
    assert page.count("3 more like it") == 1
    assert page.index("FAIL onnxruntime") < page.index("INCONCLUSIVE torch plausible") < page.index("PASS")
    for run in ("before", "deep/after"):
        assert page.count(f"<code>seatrial diagnose {root / run}</code>") == 2
    assert "diagnose RUN" not in page and "`" not in page


def test_runs_of_two_models_come_with_the_command_that_compares_them(tmp_path: Path) -> None:
    for name in ("a", "b"):
        build_run(tmp_path / name, Trial(ships=(TORCH,), images=60))
    edit_json(tmp_path / "b" / "run.json", lambda data: data["recipe"]["network"].update(name="resnet18"))
    answer = open_client(tmp_path).get("/compare?before=a&after=b")
    assert answer.status_code == 409 and "--allow model compares them" in answer.text
    assert f"seatrial compare {tmp_path}/a {tmp_path}/b --allow model</code>" in answer.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("run `a b` or `c`", "run <code>a b</code> or <code>c</code>"),
        ("`<b>`", "<code>&lt;b&gt;</code>"),
        ("a ` alone <b>", "a ` alone &lt;b&gt;"),
        ("plain & simple", "plain &amp; simple"),
    ],
)
def test_what_stands_in_backticks_is_code(text: str, shown: str) -> None:
    assert mark_code(text) == shown


def test_it_can_be_turned_round(client: TestClient) -> None:
    page = client.get("/compare?before=before&after=deep/after").text
    assert 'href="/compare?before=deep%2Fafter&amp;after=before"' in page
    assert "top-1 fell −7.41 points" in find_text(client.get("/compare?before=deep/after&after=before").text)


def test_what_is_not_comparable_is_said_with_the_reason(client: TestClient) -> None:
    answer = client.get("/compare?before=before&after=before")
    assert answer.status_code == 409 and "are the same run" in answer.text


def test_a_damaged_record_is_named(root: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        build_run(tmp_path / name, Trial(images=60))
    (tmp_path / "b" / "bench" / "torch.json").write_text("{")
    answer = open_client(tmp_path).get("/compare?before=a&after=b")
    assert answer.status_code == 409 and "torch.json is damaged" in answer.text


@pytest.mark.parametrize("query", ["", "before=before", "before=before&after=none", "before=../x&after=before"])
def test_two_runs_must_be_named(client: TestClient, query: str) -> None:
    assert client.get(f"/compare?{query}").status_code == 404


def test_the_second_is_chosen_from_the_list(client: TestClient) -> None:
    page = client.get("/?beside=before").text
    assert page.count('href="/compare?before=before&amp;after=deep%2Fafter"') == 1
    assert "after=before" not in page


def test_nothing_in_a_record_becomes_markup(tmp_path: Path) -> None:
    for name in ("a", "b"):
        build_run(tmp_path / name, Trial(ships=(TORCH,), images=60))
    replace_in_record(tmp_path / "b" / "run.json", "3.12.11", "<script>alert(1)</script>")
    page = open_client(tmp_path).get("/compare?before=a&after=b").text
    assert "<script>alert" not in page and "&lt;script&gt;" in page
