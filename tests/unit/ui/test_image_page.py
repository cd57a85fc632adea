"""An image that is brought: what may be sent, what comes of it, and the processes behind it."""

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image
from starlette.testclient import TestClient

from bomb_image import make_bomb
from page_client import HOST, open_client
from pages_shown import find_text
from seatrial.errors import EngineError
from seatrial.ui import engine_processes, image_page
from seatrial.ui.engine_processes import EngineProcesses
from seatrial.ui.predict_process import ImageJob
from seatrial.ui.site import Site, open_site
from tiny_trial import TinyTrial

STEPS, ENGINE = "/image/steps?run=tiny", "/image/engine?run=tiny&engine=onnxruntime"
FROM_HERE = {"origin": HOST, "x-piece": "1"}


@pytest.fixture(scope="module")
def site(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A folder with the miniature run in it, whose processes stay for all tests of this file."""
    root = tmp_path_factory.mktemp("runs")
    shutil.copytree(tiny_run, root / "tiny")
    site = open_site(root)
    yield site
    site.close()


@pytest.fixture
def client(site: Site) -> TestClient:
    return open_client(site.root, site)


@pytest.fixture(scope="module")
def photo(tiny_trial: TinyTrial) -> bytes:
    return (tiny_trial.images / "image_003.JPEG").read_bytes()


def test_the_page_offers_every_engine_the_reference_first_and_opens_them(
    client: TestClient, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[object] = []
    monkeypatch.setattr(EngineProcesses, "prepare", lambda processes, *given: prepared.append(given))
    page = client.get("/image?run=tiny")
    assert prepared == [(site.root / "tiny", ("torch", "onnxruntime", "openvino"))]
    assert page.status_code == 200
    places = [part.split('"')[0] for part in page.text.split('data-piece="')[1:]]
    assert [place.rpartition("engine=")[2] for place in places[:-1]] == ["torch", "onnxruntime", "openvino"]
    assert places[-1] == "/image/steps?run=tiny"


def test_steps_and_classes_come_as_pieces(client: TestClient, photo: bytes) -> None:
    steps = client.post(STEPS + "&name=a.jpg", content=photo, headers=FROM_HERE)
    assert steps.status_code == 200, steps.text
    assert steps.text.count("data:image/png;base64,") == 3 and "crop the middle 32 × 32" in steps.text
    first = client.post(ENGINE, content=photo, headers=FROM_HERE)
    assert first.status_code == 200, first.text
    assert 'data-first="1"' in first.text and "opened in" in first.text and "ms a run (median of" in first.text
    # The engine is open now, and gives the same.
    second = client.post(ENGINE, content=photo, headers=FROM_HERE)
    assert "opened in" not in second.text
    assert find_text(second.text).split(" ms a run")[0][:40] == find_text(first.text).split(" ms a run")[0][:40]


BAD = {
    "text": (b"just some text", 422, "is no image (14 bytes that begin with 6a 75 73 74)"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", 422, "it holds a web page or XML"),
    "bomb": (make_bomb(), 422, "is refused (it has 900,000,000 pixels; 89,478,485 are the most); choose another file"),
    "empty": (b"", 422, "The file is empty"),
    "large": (b"\xff\xd8" + bytes(2**18), 413, "larger than 0 MiB"),
    "cut off": (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01", 422, ""),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("address", [STEPS, ENGINE])
def test_what_is_no_image_is_refused_in_a_line(
    client: TestClient, kind: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_page, "MOST_BYTES", 2**18)
    data, status, message = BAD[kind]
    answer = client.post(f"{address}&name=<b>x</b>", content=data, headers=FROM_HERE)
    assert answer.status_code == status
    assert message in find_text(answer.text) and "<b>x" not in answer.text
    # A piece is put into a page: it must be no page itself.
    assert answer.text.startswith('<p class="error" role="alert" data-choose>') and "run again" not in answer.text
    assert "<svg" not in answer.text


def test_an_image_that_is_not_turned_as_its_exif_says_is_so_named(client: TestClient, photo: bytes) -> None:
    with Image.open(io.BytesIO(photo)) as image:
        wide = image.convert("RGB").resize((60, 40))
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    wide.save(stream, "JPEG", exif=exif)
    shown = find_text(client.post(STEPS + "&name=a.jpg", content=stream.getvalue(), headers=FROM_HERE).text)
    assert "The file has orientation 6 in its EXIF, which is not applied" in shown
    assert "60 × 40 (width × height)" in shown
    assert "EXIF" not in client.post(STEPS + "&name=a.jpg", content=photo, headers=FROM_HERE).text


def test_a_body_that_does_not_say_its_size_is_cut_off(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_page, "MOST_BYTES", 2**16)
    sent = []

    def send() -> Iterator[bytes]:
        for _ in range(64):
            sent.append(1)
            yield bytes(2**12)

    assert client.post(STEPS, content=send(), headers=FROM_HERE).status_code == 413


@pytest.mark.parametrize("address", [STEPS, ENGINE])
def test_it_is_sent_by_our_own_page_only(client: TestClient, address: str, photo: bytes) -> None:
    for headers in ({}, {"origin": "http://evil.example"}, {"origin": "null"}):
        assert client.post(address, content=photo, headers=headers).status_code == 403
    assert client.get(address).status_code == 405


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/image/engine?run=tiny&engine=other", 404),
        ("/image/engine?run=tiny&engine=../../x", 404),
        ("/image/engine?run=..&engine=torch", 404),
        ("/image/steps?run=none", 404),
    ],
)
def test_other_engines_and_folders_are_not_there(client: TestClient, address: str, status: int, photo: bytes) -> None:
    assert client.post(address, content=photo, headers=FROM_HERE).status_code == status


def test_a_run_whose_engines_were_deleted_says_so(site: Site, photo: bytes) -> None:
    shutil.copytree(site.root / "tiny", site.root / "bare")
    shutil.rmtree(site.root / "bare" / "engines")
    client = open_client(site.root, site)
    assert "nothing can be tried" in client.get("/image?run=bare").text
    answer = client.post("/image/steps?run=bare", content=photo, headers=FROM_HERE)
    assert answer.status_code == 404 and "has no engine folders" in answer.text


def test_an_engine_that_was_altered_is_refused_until_it_is_as_it_was(site: Site, photo: bytes) -> None:
    shutil.copytree(site.root / "tiny", site.root / "altered")
    client, address = open_client(site.root, site), "/image/engine?run=altered&engine=onnxruntime"
    (path,) = (site.root / "altered" / "engines" / "onnxruntime").glob("*.onnx")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    answer = client.post(address, content=photo, headers=FROM_HERE)
    assert answer.status_code == 422 and "altered or cut off" in answer.text
    path.write_bytes(whole)
    assert client.post(address, content=photo, headers=FROM_HERE).status_code == 200


def list_processes() -> list[str]:
    """The engine folders of the processes that are there."""
    lines = [child.cmdline() for child in psutil.Process().children()]
    return [line[-1].rpartition("/")[2] for line in lines if any("_process" in word for word in line)]


def test_processes_are_those_of_engine_folders_as_they_are_and_end_with_them(
    tiny_run: Path, photo: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_processes, "PREDICT", engine_processes.DRAW)
    monkeypatch.setattr(engine_processes, "EnginePrediction", engine_processes.Pictures)
    for name in ("a", "b"):
        shutil.copytree(tiny_run / "engines", tmp_path / name / "engines")
    before, job = list_processes(), ImageJob.of(photo, "x")
    with EngineProcesses() as processes:
        processes.predict(tmp_path / "a", "torch", job)
        processes.predict(tmp_path / "a", "openvino", job)
        known = dict(processes._running)
        processes.predict(tmp_path / "a", "torch", job)
        assert processes._running == known and len(list_processes()) == len(before) + 2
        # One that was compiled again has a process of its own, and the old one is gone.
        path = tmp_path / "a" / "engines" / "torch" / "engine.json"
        path.write_bytes(path.read_bytes())
        os.utime(path, ns=(1, 1))
        processes.predict(tmp_path / "a", "torch", job)
        assert len(list_processes()) == len(before) + 2 and processes._running.keys() != known.keys()
    assert len(list_processes()) == len(before)
    with pytest.raises(EngineError, match="has been closed"):
        processes.predict(tmp_path / "a", "torch", job)


def test_a_few_runs_stay_open_and_the_one_of_the_oldest_use_gives_way(
    tiny_run: Path, photo: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_processes, "MOST_RUNS", 2)
    monkeypatch.setattr(engine_processes, "has_room", lambda: True)
    for name in ("a", "b", "c"):
        shutil.copytree(tiny_run / "engines" / "torch", tmp_path / name / "engines" / "torch")
    job = ImageJob.of(photo, "x")

    def list_open() -> set[str]:
        return {run.name for run, *_ in processes._running}

    with EngineProcesses() as processes:
        for name in ("a", "b", "a"):
            processes.draw(tmp_path / name, "torch", job)
        first = dict(processes._running)
        processes.draw(tmp_path / "b", "torch", job)
        assert processes._running == first, "going back and forth opens nothing again"
        processes.draw(tmp_path / "c", "torch", job)
        assert list_open() == {"b", "c"}
        (used,) = (process for key, process in processes._running.items() if key[0].name == "b")
        with used._lock:  # As while an image is on its way.
            processes.draw(tmp_path / "a", "torch", job)
            assert list_open() == {"a", "b"}
        monkeypatch.setattr(engine_processes, "has_room", lambda: False)
        processes.draw(tmp_path / "c", "torch", job)
        assert list_open() == {"c"}


def test_engines_are_opened_before_there_is_an_image(tiny_run: Path, photo: bytes) -> None:
    with EngineProcesses() as processes:
        processes.prepare(tiny_run, ("onnxruntime",))
        started = dict(processes._running)
        assert len(started) == 2 and all(process.is_alive for process in started.values())
        assert processes.predict(tiny_run, "onnxruntime", ImageJob.of(photo, "x")).opened_s is not None
        assert processes._running == started


def test_a_process_that_takes_too_long_is_ended_and_started_again(
    tiny_run: Path, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ImageJob.of(photo, "x")
    with EngineProcesses() as processes:
        monkeypatch.setattr(engine_processes, "FIRST_S", 0.01)
        with pytest.raises(EngineError, match=r"the process that draws the steps took longer than 0.01 s"):
            processes.draw(tiny_run, "torch", job)
        monkeypatch.setattr(engine_processes, "FIRST_S", 60.0)
        assert len(processes.draw(tiny_run, "torch", job).pictures) == 3


def test_idle_processes_give_their_memory_back(tiny_run: Path, photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with EngineProcesses() as processes:
        processes.draw(tiny_run, "torch", ImageJob.of(photo, "x"))
        monkeypatch.setattr(engine_processes, "IDLE_S", 0.05)
        processes.draw(tiny_run, "torch", ImageJob.of(photo, "x"))
        assert processes._timer is not None
        processes._timer.join(10)
        assert not processes._running
