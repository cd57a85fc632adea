"""What goes wrong in a download from the Hugging Face hub, as its client raises it."""

import errno
from pathlib import Path
from typing import Any

import pytest

from seatrial.errors import DataError, SeatrialError, StorageError, UsageError
from seatrial.models.hub import DESCRIPTION, fetch_files

huggingface_hub = pytest.importorskip("huggingface_hub")
httpx2 = pytest.importorskip("httpx2")
errors = pytest.importorskip("huggingface_hub.errors")
RESPONSE = httpx2.Response(404, request=httpx2.Request("GET", "https://huggingface.co/some/thing"))


@pytest.mark.parametrize(
    ("raised", "kind", "words"),
    [
        (
            errors.RepositoryNotFoundError("404 Client Error.\n\nIs it private?", response=RESPONSE),
            UsageError,
            r"does not give some/thing@v2 \(404 Client Error\.\); check its name; .* log in with `hf auth login`",
        ),
        (errors.RevisionNotFoundError("404: no v2", response=RESPONSE), UsageError, r"some/thing@v2 \(404: no v2\)"),
        (errors.HfHubHTTPError("503", response=RESPONSE), DataError, r"some/thing@v2 cannot be downloaded .* \(503\)"),
        (errors.LocalEntryNotFoundError("no connection"), DataError, r"\(no connection\); check the network and run"),
        (httpx2.ProxyError("no such proxy"), DataError, r"\(no such proxy\); check the network and run"),
        (OSError(errno.ENOSPC, "No space left on device", "blob"), StorageError, "no space left to write blob"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_download_that_fails_is_an_error_of_one_line(
    raised: Exception, kind: type[SeatrialError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(repository: str, **_: Any) -> str:
        raise raised

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(kind, match=words) as caught:
        fetch_files("some/thing", "v2", DESCRIPTION)
    assert "\n" not in str(caught.value)


def test_the_client_is_given_what_to_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def download(*arguments: Any, **options: Any) -> str:
        given.append((arguments, options))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert fetch_files("some/thing", None, ("a", "b"), tmp_path) == tmp_path
    assert given == [(("some/thing",), {"revision": None, "local_dir": tmp_path, "allow_patterns": ["a", "b"]})]
