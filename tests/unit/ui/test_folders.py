"""No request leads out of the folder of runs."""

import os
import shutil
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from page_client import open_client
from run_folder import Trial, build_run
from seatrial.ui import folders
from seatrial.ui.folders import make_address
from seatrial.ui.guard import read_query


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run in it, beside another run; read only."""
    folder = tmp_path_factory.mktemp("made")
    build_run(folder / "outside", Trial(images=60, title="Outside"))
    build_run(folder / "runs" / "a", Trial(images=60, title="Inside"))
    return folder


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """The folder of runs, to be changed."""
    shutil.copytree(made, tmp_path / "made")
    return tmp_path / "made" / "runs"


@pytest.mark.parametrize(
    "run",
    ["", ".", "..", "../outside", "a/../../outside", "b", "a/run.json", "a/evaluation", "a\0", "/", "~", "a/" * 3000],
)
def test_what_is_no_run_here_is_not_there(root: Path, run: str) -> None:
    answer = open_client(root).get("/report", params={"run": run})
    assert answer.status_code == 404 and "Outside" not in answer.text


def test_an_absolute_path_is_not_there(root: Path) -> None:
    client = open_client(root)
    for path in (root.parent / "outside", root / "a"):
        assert client.get("/report", params={"run": str(path)}).status_code == 404


def test_a_link_to_a_folder_outside_is_neither_listed_nor_opened(root: Path) -> None:
    (root / "link").symlink_to(root.parent / "outside")
    client = open_client(root)
    assert client.get("/report", params={"run": "link"}).status_code == 404
    assert "link" not in client.get("/").text.partition("<tbody>")[2].partition("</tbody>")[0]


@pytest.mark.parametrize("place", ["verdict.json", "evaluation/torch.json", "evaluation/link.json", "bench"])
def test_a_run_with_a_link_that_leads_outside_is_refused(root: Path, place: str) -> None:
    link = root / "a" / place
    if link.is_dir():
        link.rename(root / "moved")
    link.unlink(missing_ok=True)
    link.symlink_to(root.parent / "outside" / place)
    answer = open_client(root).get("/report", params={"run": "a"})
    assert answer.status_code == 422
    assert "leads out of" in answer.text and "Inside" not in answer.text


def test_no_folder_stays_open_when_a_link_was_found(root: Path) -> None:
    (root / "a" / "out").symlink_to(root.parent / "outside")
    links = folders._find_links(str(root / "a"))
    before = psutil.Process().num_fds()
    assert next(links) == str(root / "a" / "out")
    assert psutil.Process().num_fds() == before


def test_a_link_that_stays_inside_is_followed(root: Path) -> None:
    moved = root / "kept" / "torch.json"
    moved.parent.mkdir()
    (root / "a" / "bench" / "torch.json").rename(moved)
    (root / "a" / "bench" / "torch.json").symlink_to(moved)
    assert open_client(root).get("/report", params={"run": "a"}).status_code == 200


def test_a_run_json_that_is_a_link_is_no_run(root: Path) -> None:
    (root / "b").mkdir()
    (root / "b" / "run.json").symlink_to(root.parent / "outside" / "run.json")
    client = open_client(root)
    assert "1 of 1 run<" in client.get("/").text
    assert client.get("/report", params={"run": "b"}).status_code == 422


def test_names_keep_their_bytes(root: Path) -> None:
    name = os.fsdecode(b"net\xe9 &?#")
    try:
        (root / "a").rename(root / name)
    except OSError:
        pytest.skip("this file system has names of text only")
    client = open_client(root)
    page = client.get("/").text
    assert f"/report?run={quote(os.fsencode(name), safe='').replace('%20', '+')}" in page
    assert "net\\udce9 &amp;?#" in page
    # Apache Arrow opens no such path, but the folder is found.
    answer = client.get(make_address("/report", run=name))
    assert answer.status_code == 422 and "torch.parquet" in answer.text


def test_a_query_is_read_as_it_was_written() -> None:
    address = make_address("/x", run=os.fsdecode(b"\xff/\xc3\xa4 b"), page=2, empty="", none=None)
    assert address == "/x?run=%FF%2F%C3%A4+b&page=2"
    query = read_query({"query_string": address.partition("?")[2].encode()})
    assert query == {"run": os.fsdecode(b"\xff/\xc3\xa4 b"), "page": "2"}
