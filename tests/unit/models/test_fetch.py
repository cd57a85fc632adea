"""Downloads against a server of our own, which can hang up, forget what Range means, or send something else."""

import fcntl
import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from seatrial.errors import DataError, RefusedFile, RunInUse, StorageError, UsageError
from seatrial.models.fetch import CHUNK_BYTES, fetch_weights
from seatrial.progress import Update
from seatrial.recipes import Recipe, load_recipe
from seatrial.recipes.schema import Weights

BODY = bytes(range(256)) * 4096  # a megabyte, four chunks
MD5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
SHA256 = hashlib.sha256(BODY).hexdigest()


@dataclass
class Behaviour:
    """What the server does, and what it was asked."""

    body: bytes = BODY
    status: int = 0
    ranges: bool = True
    hang_up_after: int | None = None
    redirect: str | None = None
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        does: Behaviour = self.server.behaviour  # type: ignore[attr-defined]
        asked = self.headers.get("Range")
        does.asked.append(asked)
        if does.redirect and self.path != "/moved.pth":
            self.send_response(302)
            self.send_header("Location", does.redirect)
            self.end_headers()
        elif does.status:
            self.send_error(does.status)
        else:
            self.send_part(does, asked)

    def send_part(self, does: Behaviour, asked: str | None) -> None:
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and does.ranges else 0
        if start >= len(does.body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(does.body) - 1}/{len(does.body)}")
        self.send_header("Content-Length", str(len(does.body) - start))
        self.end_headers()
        self.wfile.write(does.body[start : does.hang_up_after])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Behaviour]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.behaviour = behaviour = Behaviour()  # type: ignore[attr-defined]
    behaviour.url = f"http://127.0.0.1:{http.server_port}/some/weights.pth"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield behaviour
    http.shutdown()
    http.server_close()
    thread.join()


def recipe(url: str | None, **checksums: str) -> Recipe:
    weights = Weights.read({"file": "weights.pth", "url": url, **checksums}, "card")
    return load_recipe("resnet50").model_copy(update={"weights": weights})


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_downloaded_checked_and_named(server: Behaviour, tmp_path: Path) -> None:
    updates: list[Update] = []
    path = fetch_weights(recipe(server.url, md5=MD5, sha256=SHA256), tmp_path / "new" / "folder", updates.append)
    assert path == tmp_path / "new" / "folder" / "weights.pth"
    assert path.read_bytes() == BODY
    assert listing(path.parent) == ["weights.pth"]
    assert updates[0].note == "downloading weights.pth"
    assert [(u.done, u.total, u.unit) for u in updates[1:]] == [
        (n * CHUNK_BYTES, len(BODY), "bytes") for n in range(1, 5)
    ]


def test_what_is_there_is_not_downloaded_again(server: Behaviour, tmp_path: Path) -> None:
    card = recipe(server.url, sha256_prefix=SHA256[:8])
    fetch_weights(card, tmp_path)
    fetch_weights(card, tmp_path)
    assert server.asked == [None]


def test_a_cut_connection_is_resumed(server: Behaviour, tmp_path: Path) -> None:
    card = recipe(server.url, md5=MD5)
    server.hang_up_after = 300_000
    with pytest.raises(DataError, match=r"sent 300,000 of 1,048,576 bytes .* run the same command again"):
        fetch_weights(card, tmp_path)
    assert listing(tmp_path) == ["weights.pth.part"]
    assert (tmp_path / "weights.pth.part").stat().st_size == 300_000
    server.hang_up_after = None
    updates: list[Update] = []
    assert fetch_weights(card, tmp_path, updates.append).read_bytes() == BODY
    assert server.asked == [None, "bytes=300000-"]
    assert (updates[0].note, updates[0].done, updates[0].total) == ("resuming weights.pth", 300_000, len(BODY))
    assert listing(tmp_path) == ["weights.pth"]


def test_a_server_that_ignores_range_starts_again(server: Behaviour, tmp_path: Path) -> None:
    (tmp_path / "weights.pth.part").write_bytes(BODY[:1000])
    server.ranges = False
    assert fetch_weights(recipe(server.url, md5=MD5), tmp_path).read_bytes() == BODY
    assert server.asked == ["bytes=1000-"]


def test_a_part_longer_than_the_file_starts_again(server: Behaviour, tmp_path: Path) -> None:
    (tmp_path / "weights.pth.part").write_bytes(BODY + b"too much")
    assert fetch_weights(recipe(server.url, md5=MD5), tmp_path).read_bytes() == BODY
    assert server.asked == [f"bytes={len(BODY) + 8}-", None]


def test_a_finished_part_is_only_named(server: Behaviour, tmp_path: Path) -> None:
    (tmp_path / "weights.pth.part").write_bytes(BODY)
    assert fetch_weights(recipe(server.url, sha256=SHA256), tmp_path).read_bytes() == BODY
    assert server.asked == []


@pytest.mark.parametrize(
    "checksum",
    [{"md5": "0" * 32}, {"sha256": "0" * 64}, {"sha256_prefix": "00000000"}, {"md5": MD5, "sha256_prefix": "0" * 8}],
)
def test_another_file_is_refused_and_removed(server: Behaviour, tmp_path: Path, checksum: dict[str, str]) -> None:
    with pytest.raises(RefusedFile, match=re.escape(server.url) + " is not the published file: its .* it was removed"):
        fetch_weights(recipe(server.url, **checksum), tmp_path)
    assert listing(tmp_path) == []


def test_a_part_of_another_file_does_not_spoil_the_next_try(server: Behaviour, tmp_path: Path) -> None:
    card = recipe(server.url, md5=MD5)
    (tmp_path / "weights.pth.part").write_bytes(b"x" * 1000)
    with pytest.raises(RefusedFile):
        fetch_weights(card, tmp_path)
    assert fetch_weights(card, tmp_path).read_bytes() == BODY


def test_another_file_under_that_name_is_left_alone(server: Behaviour, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"mine")
    with pytest.raises(RefusedFile, match=r"weights.pth is not the published file: its md5 is .*; move it away"):
        fetch_weights(recipe(server.url, md5=MD5), tmp_path)
    assert (tmp_path / "weights.pth").read_bytes() == b"mine"
    assert server.asked == []


def test_without_a_checksum_the_user_is_told_one(server: Behaviour, tmp_path: Path) -> None:
    updates: list[Update] = []
    assert fetch_weights(recipe(server.url), tmp_path, updates.append).read_bytes() == BODY
    assert updates[-1].note == f"the card has no checksum; the file's sha256 is {SHA256}"


@pytest.mark.parametrize(
    ("status", "error", "answer"),
    [
        (404, UsageError, "gives 404 Not Found; the link in the card is dead or closed"),
        (403, UsageError, "gives 403 Forbidden; the link in the card is dead or closed"),
        (500, DataError, "gives 500 Internal Server Error; run the same command again later"),
        (429, DataError, "gives 429 Too Many Requests; run the same command again later"),
    ],
)
def test_a_server_that_refuses(
    server: Behaviour, tmp_path: Path, status: int, error: type[Exception], answer: str
) -> None:
    server.status = status
    with pytest.raises(error, match=answer):
        fetch_weights(recipe(server.url, md5=MD5), tmp_path)
    assert listing(tmp_path) == []


def test_an_empty_response_is_no_file(server: Behaviour, tmp_path: Path) -> None:
    server.hang_up_after = 0
    with pytest.raises(DataError, match="sent 0 of 1,048,576 bytes and hung up"):
        fetch_weights(recipe(server.url), tmp_path)
    assert listing(tmp_path) == []


def test_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{http.server_port}/weights.pth"
    http.server_close()
    with pytest.raises(DataError, match=r"cannot be reached .*refused.*; check the network"):
        fetch_weights(recipe(url, md5=MD5), tmp_path)


def test_a_redirection_is_followed_to_the_web_only(server: Behaviour, tmp_path: Path) -> None:
    server.redirect = server.url.replace("some/weights.pth", "moved.pth")
    assert fetch_weights(recipe(server.url, md5=MD5), tmp_path / "a").read_bytes() == BODY
    secret = tmp_path / "secret"
    secret.write_bytes(BODY)
    for elsewhere in (secret.as_uri(), "ftp://127.0.0.1/weights.pth"):
        server.redirect = elsewhere
        with pytest.raises((DataError, UsageError)):
            fetch_weights(recipe(server.url), tmp_path / "b")
    assert listing(tmp_path / "b") == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://example.org/a.pth", "weights.pth"])
def test_other_addresses_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match=r"weights.url of resnet50 is no web address: .*; it begins with https://"):
        fetch_weights(recipe(url), tmp_path)


def test_a_card_without_an_address_says_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no address for sk_resnet50.pth.tar; .*drive.google.com.*YOLOF"):
        fetch_weights(load_recipe("sk_resnet50"), tmp_path)
    with pytest.raises(UsageError, match="names no weights; give your own with --checkpoint"):
        fetch_weights(load_recipe("resnet50").model_copy(update={"weights": None}), tmp_path)


def test_two_downloads_into_one_folder(server: Behaviour, tmp_path: Path) -> None:
    with (tmp_path / "weights.pth.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(RunInUse, match="another process downloads"):
            fetch_weights(recipe(server.url, md5=MD5), tmp_path)
    assert fetch_weights(recipe(server.url, md5=MD5), tmp_path).read_bytes() == BODY


def test_a_folder_that_cannot_be(server: Behaviour, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be read or written"):
        fetch_weights(recipe(server.url, md5=MD5), tmp_path / "file")
