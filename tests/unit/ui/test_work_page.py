"""Work under way: found, described, and sent as it goes on."""

import json
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from growing_ledger import COUNT, LABELS, predict
from page_client import open_client
from pages_shown import find_text
from run_folder import ORT, TORCH, Trial, build_run
from seatrial.evaluation.ledger import PredictionLedger
from seatrial.store.files import locked
from seatrial.ui import work_page
from seatrial.ui.site import open_site
from seatrial.ui.work import FolderWork, find_work


@contextmanager
def evaluating(path: Path) -> Iterator[PredictionLedger]:
    with PredictionLedger(path, "key", COUNT, labels=LABELS) as ledger:
        yield ledger


def show(root: Path, folder: str) -> str:
    answer = open_client(root).get("/work", params={"folder": folder})
    assert answer.status_code == 200, answer.text
    return find_text(answer.text)


def test_an_evaluation_shows_how_far_how_right_and_how_fast(tmp_path: Path) -> None:
    with evaluating(tmp_path / "out" / ".onnxruntime.ledger") as ledger:
        assert "Evaluation of onnxruntime running 0 of 100 images" in show(tmp_path, "out")
        ledger.add([predict(*range(50), right=40, bad={60: "damaged"})], 5.0)
        text = show(tmp_path, "out")
        # Wilson's interval of 40 of 50.
        assert "Top-1 so far, % 80.00 (66.96 to 88.76)" in text and "Top-5 so far, % 100.00" in text
        assert "51 of 100 images" in text and "Images/s 10.0" in text and "Left about 5 s" in text
        assert "Unreadable images 1" in text and "little of the rest" in text
        listed = find_text(open_client(tmp_path).get("/").text)
        assert "Work under way out : evaluation" in listed and "not finished" not in listed
    assert re.search(r"written \d s ago", show(tmp_path, "out"))
    assert "out : evaluation, not finished" in find_text(open_client(tmp_path).get("/").text)
    os.utime(tmp_path / "out" / ".onnxruntime.ledger", ns=(0, time.time_ns() - 7200 * 10**9))
    text = show(tmp_path, "out")
    assert "nothing was written for 2 h; the same command goes on from here" in text and "Left" not in text


def test_a_training_shows_its_curve(tmp_path: Path) -> None:
    steps = [
        {"event": "step", "step": n, "steps": 40, "epoch": 1 + n // 10, "loss": 2 / n, "lr": 0.1} for n in range(1, 21)
    ]
    epochs = [{"event": "epoch", "epoch": n, "val_top1": n / 10, "val_images": 100} for n in (1, 2)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(each) + "\n" for each in (*steps, *epochs)))
    with locked(tmp_path):
        page = open_client(tmp_path).get("/work?folder=.").text
    text = find_text(page)
    assert "running" in text and "20 of 40 steps" in text and "Loss of the last step 0.100" in text
    assert "Validation top-1, % 20.00 (13.34 to 28.88) after epoch 2" in text
    assert 'aria-label="Loss by step: 2.00 at first, 0.100 now"' in page
    # The first step is on the left at the top, the last on the right at the bottom.
    points = page.partition('<polyline points="')[2].partition('"')[0].split()
    assert (points[0], points[-1], len(points)) == ("0.0,0.0", "600.0,120.0", 20)


def test_a_training_that_is_done_is_not_under_way(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("")
    assert [work.kind for work in find_work(tmp_path)] == ["training"]
    (tmp_path / "train.json").write_text("{}")
    assert list(find_work(tmp_path)) == []
    assert "Nothing is under way here" in show(tmp_path, ".")


def test_a_run_shows_what_it_came_to_so_far(tmp_path: Path) -> None:
    build_run(tmp_path / "a", Trial(ships=(TORCH, ORT)))
    for path in (tmp_path / "a" / "verdict.json", *(tmp_path / "a" / "bench").iterdir()):
        path.unlink()
    (tmp_path / "a" / "evaluation" / "onnxruntime.json").unlink()
    with locked(tmp_path / "a"):
        assert "just now it neither evaluates nor measures" in show(tmp_path, "a")
        with evaluating(tmp_path / "a" / "evaluation" / ".onnxruntime.ledger") as ledger:
            ledger.add([predict(0, 1)], 1.0)
            text = show(tmp_path, "a")
            assert "Evaluation of onnxruntime running" in text and "goes on where it was left" not in text
            assert "torch 95.56 (93.46 to 97.13) 540 – onnxruntime – – –" in text
    assert "goes on where it was left: seatrial run digits.toml" in show(tmp_path, "a")


def test_links_are_no_work(tmp_path: Path) -> None:
    with evaluating(tmp_path / "outside" / ".a.ledger") as ledger:
        ledger.add([predict(0)], 1.0)
        (tmp_path / "runs").mkdir()
        (tmp_path / "runs" / ".a.ledger").symlink_to(tmp_path / "outside" / ".a.ledger")
        (tmp_path / "runs" / ".b.points").symlink_to(tmp_path / "outside")
        (tmp_path / "runs" / "train.jsonl").symlink_to(tmp_path / "outside" / ".a.ledger")
        assert "Nothing is under way here" in show(tmp_path / "runs", ".")


@pytest.mark.parametrize("page", ["/work", "/work/events"])
def test_folders_outside_are_not_there(tmp_path: Path, page: str) -> None:
    (tmp_path / "runs").mkdir()
    client = open_client(tmp_path / "runs")
    for folder in ("", "..", "none", str(tmp_path)):
        assert client.get(page, params={"folder": folder}).status_code == 404


def read_events(text: str) -> list[tuple[str, str]]:
    """Kind and data of each event of a stream."""
    events = []
    for block in text.split("\n\n")[:-1]:
        lines = [line.partition(":")[::2] for line in block.split("\n")]
        kind = next((value.strip() for name, value in lines if name == "event"), "message")
        events.append((kind, "\n".join(value.removeprefix(" ") for name, value in lines if name == "data")))
    return events


def test_the_stream_follows_until_all_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_page, "EVERY_S", 0.01)
    client = open_client(tmp_path)
    ledger = PredictionLedger(tmp_path / ".a.ledger", "key", COUNT, labels=LABELS)
    ledger.add([predict(0, right=1)], 1.0)

    def go_on() -> None:
        for index in range(1, 6):
            time.sleep(0.2)
            ledger.add([predict(index, right=1)], 1.0)
        time.sleep(0.2)
        ledger.remove()

    thread = threading.Thread(target=go_on)
    thread.start()
    answer = client.get("/work/events?folder=.")
    thread.join()
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = read_events(answer.text)
    assert events[-1] == ("over", "") and "Nothing is under way here" in events[-2][1]
    counts = [int(find_text(data).partition(" of 100 images")[0].rpartition(" ")[2]) for _, data in events[:-2]]
    assert counts == sorted(counts) and counts[0] == 1 and counts[-1] == 6 and set(counts) >= {2, 3, 4, 5}


def test_the_stream_ends_with_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_page, "EVERY_S", 0.01)
    site = open_site(tmp_path)
    describe = work_page.describe_folder

    def describe_and_stop(path: str, state: FolderWork) -> dict[str, Any]:
        site.stopping.set()
        return describe(path, state)

    monkeypatch.setattr(work_page, "describe_folder", describe_and_stop)
    with evaluating(tmp_path / ".a.ledger"):
        events = read_events(open_client(tmp_path, site).get("/work/events?folder=.").text)
    assert [kind for kind, _ in events] == ["message"]


def test_nothing_in_a_folder_becomes_markup(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    folder = tmp_path / evil
    with evaluating(folder / f".{evil}.ledger") as ledger:
        ledger.add([predict(0)], 1.0)
        (folder / "train.jsonl").write_text(json.dumps({"event": "step", "step": evil, "loss": evil, "lr": [1]}) + "\n")
        for page in ("/work", "/"):
            answer = open_client(tmp_path).get(page, params={"folder": evil})
            assert answer.status_code == 200 and "<img" not in answer.text


def test_a_copy_of_a_run_is_not_running(tmp_path: Path) -> None:
    build_run(tmp_path / "a", Trial(images=60))
    with locked(tmp_path / "a"):
        shutil.copytree(tmp_path / "a", tmp_path / "b")
        assert "A process works in this run" in show(tmp_path, "a")
        assert "Nothing is under way here" in show(tmp_path, "b")
