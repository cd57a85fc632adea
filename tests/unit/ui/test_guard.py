"""Who gets in, and what every answer forbids."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from page_client import HOST, PORT, open_client
from run_folder import Trial, build_run
from seatrial.ui.guard import PageAccess
from seatrial.ui.run_index import RunIndex
from seatrial.ui.server import make_app
from seatrial.ui.site import open_site

PAGES = ("/", "/?words=x", "/report?run=a", "/ui.css", "/ui.js", "/nowhere", "/report?run=../a", "/report")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    build_run(folder / "a", Trial(images=60))
    return folder


@pytest.fixture
def session() -> PageAccess:
    return PageAccess()


@pytest.fixture
def stranger(root: Path, session: PageAccess) -> TestClient:
    """A client without the cookie."""
    return TestClient(make_app(open_site(root), session, PORT), base_url=HOST)


@pytest.mark.parametrize("page", PAGES)
def test_without_token_or_cookie_nobody_gets_in(stranger: TestClient, page: str) -> None:
    answer = stranger.get(page)
    assert answer.status_code == 401
    assert "token" in answer.text and "a" * 60 not in answer.text


@pytest.mark.parametrize("token", ["", "x", "ä", "%ff", "None"])
def test_a_wrong_token_is_refused(stranger: TestClient, token: str) -> None:
    assert stranger.get(f"/?token={token}").status_code == 401
    assert not stranger.cookies


def test_the_token_gives_a_cookie_that_only_this_site_may_use(stranger: TestClient, session: PageAccess) -> None:
    answer = stranger.get(f"/report?token={session.token}&run=%FFa%26b")
    assert answer.status_code == 200 and "set-cookie" in answer.headers
    flags = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
    assert flags == {"httponly", "path=/", "samesite=strict"}
    assert session.token not in answer.text and session.token not in answer.headers["set-cookie"]
    # From here the browser goes on by itself, without the token, to what was asked.
    assert 'content="0; url=/report?run=%FFa%26b"' in answer.text
    assert stranger.get("/").status_code == 200


def test_the_address_to_go_on_to_is_of_this_host(stranger: TestClient, session: PageAccess) -> None:
    answer = stranger.get(f"{HOST}//evil.example/?token={session.token}")
    assert 'url=/evil.example/"' in answer.text


def test_the_cookie_of_another_session_does_not_do(stranger: TestClient) -> None:
    stranger.cookies.set(f"seatrial-{PORT}", PageAccess().cookie)
    assert stranger.get("/").status_code == 401


def test_a_token_for_a_browser_is_good_once(root: Path, session: PageAccess) -> None:
    app = make_app(open_site(root), session, PORT)
    once = session.make_once()
    answers = [TestClient(app, base_url=HOST).get(f"/?token={once}").status_code for _ in range(2)]
    assert answers == [200, 401]


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            f"evil.example:{PORT}",
            "127.0.0.1",
            f"127.0.0.1:{PORT + 1}",
            f"127.0.0.1.evil.example:{PORT}",
        ),
        *(f"0.0.0.0:{PORT}", f"[::1]:{PORT}", f"LOCALHOST.:{PORT}", ""),
    ],
)
def test_another_host_is_refused_even_with_the_cookie(root: Path, host: str) -> None:
    answer = open_client(root).get("/", headers={"host": host})
    assert answer.status_code == 403 and "127.0.0.1" in answer.text


def test_localhost_is_this_host(root: Path) -> None:
    assert open_client(root).get("/", headers={"host": f"localhost:{PORT}"}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", f"https://127.0.0.1:{PORT}", "http://127.0.0.1:1"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_origin_is_refused_even_with_the_cookie(root: Path, method: str, origin: str) -> None:
    assert open_client(root).request(method, "/", headers={"origin": origin}).status_code == 403


def test_what_is_sent_needs_an_origin(root: Path) -> None:
    client = open_client(root)
    assert client.post("/").status_code == 403
    assert client.post("/", headers={"origin": HOST}).status_code == 405
    assert client.get("/", headers={"origin": HOST}).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(root: Path, method: str) -> None:
    answer = open_client(root).request(method, "/", headers={"origin": HOST})
    assert answer.status_code == 405 and "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", "evil.example"])
def test_every_answer_forbids_what_is_not_of_this_page(root: Path, page: str, host: str) -> None:
    headers = open_client(root).get(page, headers={"host": host}).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe-inline" not in policy.get("script-src", "") and "*" not in str(policy) and "http" not in str(policy)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_an_error_of_ours_has_the_headers_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunIndex, "find", lambda index: 1 / 0)
    session = PageAccess()
    app = make_app(open_site(root), session, PORT)
    client = TestClient(app, base_url=HOST, raise_server_exceptions=False)
    client.get("/", params={"token": session.token})
    answer = client.get("/")
    assert answer.status_code == 500 and "default-src 'none'" in answer.headers["content-security-policy"]
    assert "ZeroDivisionError" not in answer.text
