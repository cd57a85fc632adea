"""The page in a real browser: opened, filtered and compared by keyboard, a run followed, an image dropped."""

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bomb_image import make_bomb
from growing_ledger import COUNT, LABELS, predict
from headless_browser import BROWSERS, Browser, find_browser
from page_server import serve_pages
from run_folder import INT8, ORT, TORCH, Trial, build_run
from seatrial.evaluation.ledger import PredictionLedger
from seatrial.ui import work_page
from tiny_trial import TinyTrial

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason=f"no browser is installed: one of {', '.join(BROWSERS)}, by apt-get install chromium"
)


@pytest.fixture(scope="module")
def root(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up runs, and the miniature one with an engine that starts at once."""
    folder = tmp_path_factory.mktemp("runs")
    build_run(folder / "good", Trial(ships=(TORCH, ORT), title="A good one"))
    build_run(folder / "lost", Trial(ships=(TORCH, INT8), title="<b>Bold</b>"))
    shutil.copytree(tiny_run, folder / "tiny")
    for name in ("torch", "openvino"):
        shutil.rmtree(folder / "tiny" / "engines" / name)
    return folder


@pytest.fixture(scope="module")
def address(root: Path) -> Iterator[str]:
    with serve_pages(root) as address:
        yield address


@pytest.fixture(scope="module")
def one_browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture
def browser(one_browser: Browser, address: str) -> Iterator[Browser]:
    """A browser that has been let in; in the end it has asked nothing of anybody else, and complained of nothing."""
    one_browser.requests.clear()
    one_browser.complaints.clear()
    one_browser.open(address)
    yield one_browser
    home = address.partition("?")[0]
    assert [each for each in one_browser.requests if not each.startswith((home, "data:image/png;base64,"))] == []
    assert one_browser.complaints == []


def go(browser: Browser, address: str, page: str) -> None:
    browser.open(address.partition("?")[0].rstrip("/") + page)


def tab_to(browser: Browser, script: str) -> None:
    """Press Tab until what has the focus, `it`, is what the script says; a region that scrolls may have it too."""
    browser.wait_until("true")
    for _ in range(60):
        browser.press("Tab")
        if browser.evaluate(f"(it => it !== document.body && Boolean({script}))(document.activeElement)"):
            return
    raise AssertionError(f"the keyboard never comes to where {script}")


def test_the_token_leads_to_the_list_and_goes(browser: Browser, address: str) -> None:
    assert browser.evaluate("location.href") == address.partition("?")[0]
    assert browser.evaluate("document.cookie") == "", "no script reads the cookie"
    assert "3 of 3 runs" in browser.read() and "<b>Bold</b>" in browser.read()


def test_a_list_is_filtered_and_ordered_by_keyboard(browser: Browser) -> None:
    tab_to(browser, "it.name === 'words'")
    browser.write("good")
    browser.press("Enter")
    browser.wait_until("document.body.innerText.includes('1 of 3 runs')")
    assert "A good one" in browser.read("tbody") and "Bold" not in browser.read("tbody")
    tab_to(browser, "it.textContent === 'show all'")
    browser.press("Enter")
    browser.wait_until("document.body.innerText.includes('3 of 3 runs')")
    tab_to(browser, "it.textContent.startsWith('Largest drop')")
    browser.press("Enter")
    browser.wait_until("document.querySelector('[aria-sort]').textContent.startsWith('Largest drop')")
    assert browser.evaluate("document.querySelector('tbody a').textContent") == "lost"


def test_a_report_is_read_and_two_runs_are_compared(browser: Browser) -> None:
    tab_to(browser, "it.textContent === 'good'")
    browser.press("Enter")
    browser.wait_until("document.querySelector('.verdict.pass')")
    # Styles in the report are let in by its own policy, and its charts are there.
    assert browser.evaluate("getComputedStyle(document.querySelector('.verdict')).borderLeftWidth") == "6px"
    assert browser.evaluate("document.querySelectorAll('figure svg').length") >= 2
    tab_to(browser, "it.textContent === 'Compare'")
    browser.press("Enter")
    browser.wait_until("document.querySelector('.banner')")
    tab_to(browser, "it.matches('a') && it.textContent.includes('compare good with lost')")
    browser.press("Enter")
    browser.wait_until("document.body.innerText.includes('The same in a terminal')")
    assert "lost against good" in browser.read("h1") and "only in good: onnxruntime" in browser.read(".verdict")


def test_a_command_is_copied(browser: Browser, address: str) -> None:
    home = address.partition("/?")[0]
    browser.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"], origin=home)
    browser.click(".copy")
    browser.wait_until("document.querySelector('.copy').textContent === 'Copied'")
    assert browser.evaluate("navigator.clipboard.readText()").startswith("seatrial run MODEL ")


def test_work_is_followed_as_it_goes_on(
    browser: Browser, address: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_page, "EVERY_S", 0.05)
    ledger = PredictionLedger(root / "live" / ".a.ledger", "key", COUNT, labels=LABELS)
    go_on, removed = threading.Event(), threading.Event()

    def evaluate() -> None:
        for index in range(COUNT):
            ledger.add([predict(index, right=1)], 0.1)
            if index == 9:
                go_on.wait(60)
        removed.wait(60)
        ledger.remove()

    thread = threading.Thread(target=evaluate)
    thread.start()
    go(browser, address, "/work?folder=live")
    browser.wait_until("document.body.innerText.includes('10 of 100 images')")
    assert "running" in browser.read(".work") and "100.00 (72.25 to 100.00)" in browser.read(".work")
    go_on.set()
    browser.wait_until("document.body.innerText.includes('100 of 100 images')")
    assert browser.evaluate("document.querySelector('progress').value") == COUNT
    removed.set()
    browser.wait_until("document.body.innerText.includes('Nothing is under way here')")
    thread.join(60)
    time.sleep(0.3)
    events = [each for each in browser.requests if "/work/events" in each]
    assert len(events) == 1, "when all is over the browser does not ask again"


def try_file(browser: Browser, path: Path, how: str = "drop") -> str:
    """Drop a file, or choose it, and wait for what comes of it: the text of the page."""
    getattr(browser, how)({"drop": "#drop", "choose": "#file"}[how], path)
    words = (
        "(text => text.includes('%s') && !text.startsWith('Trying'))(document.querySelector('#summary').textContent)"
    )
    browser.wait_until(f"{words % path.name} && !document.querySelector('[aria-busy]')")
    return browser.read("main")


@pytest.mark.parametrize("how", ["drop", "choose"])
def test_an_image_is_tried(browser: Browser, address: str, tiny_trial: TinyTrial, how: str) -> None:
    go(browser, address, "/image?run=tiny")
    shown = try_file(browser, tiny_trial.images / "image_003.JPEG", how)
    assert "It gives class 1 first." in shown and "median of 5" in shown
    assert browser.evaluate("[...document.querySelectorAll('.steps img')].map(each => each.naturalWidth)") == [
        48,
        48,
        32,
    ]
    assert browser.evaluate("document.querySelectorAll('.engine-card tbody tr').length") == 4


def test_what_is_no_image_is_said_in_a_line(browser: Browser, address: str, tmp_path: Path) -> None:
    go(browser, address, "/image?run=tiny")
    bad = {
        "notes.txt": (b"just some text", "notes.txt is no image"),
        "evil.svg": (
            b"<svg xmlns='http://www.w3.org/2000/svg'><script>document.title='owned'</script></svg>",
            "it holds a web page or XML",
        ),
        "bomb.png": (
            make_bomb(),
            "it has 900,000,000 pixels; 89,478,485 are the most); choose another file",
        ),
        "<img src=x onerror=alert(1)>.png": (b"\x89PNG\r\n\x1a\n", "is no image (8 bytes that begin with 89 50 4e 47)"),
    }
    for name, (data, message) in bad.items():
        path = tmp_path / name
        path.write_bytes(data)
        shown = try_file(browser, path)
        assert shown.count(message) == 1 and "No engine gave a class." not in shown
        # The browser counts an answer that is an error among its own complaints.
        assert {text for text in browser.complaints if "422" not in text} == set()
        browser.complaints.clear()
    assert browser.evaluate("document.title").startswith("Try an image")
    assert browser.evaluate("document.querySelectorAll('#tried img').length") == 0
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(33 * 2**20)
    assert "large.png is larger than 32 MiB" in try_file(browser, large)
    assert browser.evaluate("document.querySelector('[data-piece]').textContent") == ""


def test_a_server_that_is_gone_is_said(root: Path, one_browser: Browser, tiny_trial: TinyTrial) -> None:
    one_browser.resize(1200, 900)
    ledger = PredictionLedger(root / "left" / ".a.ledger", "key", COUNT, labels=LABELS)
    with serve_pages(root) as address:
        one_browser.open(address)
        go(one_browser, address, "/work?folder=left")
        one_browser.wait_until("document.querySelector('#lost').hidden && document.querySelector('.work')")
    one_browser.wait_until("!document.querySelector('#lost').hidden")
    assert "Connection lost since" in one_browser.read("#lost") and "trying again" in one_browser.read("#lost")
    with serve_pages(root) as address:
        one_browser.open(address)
        go(one_browser, address, "/image?run=tiny")
    one_browser.drop("#drop", tiny_trial.images / "image_003.JPEG")
    one_browser.wait_until("document.querySelector('#summary').textContent.includes('could not be sent')")
    assert one_browser.evaluate("document.querySelectorAll('[aria-busy]').length") == 0
    assert "Under way" not in one_browser.read("main")
    ledger.remove()
    one_browser.complaints.clear()


@pytest.mark.parametrize("page", ["/", "/?beside=good", "/compare?before=good&after=lost", "/image?run=tiny"])
def test_it_fits_on_a_phone_and_is_dark_where_that_is_wanted(browser: Browser, address: str, page: str) -> None:
    browser.resize(390, 844)
    try:
        go(browser, address, page)
        assert browser.evaluate("document.documentElement.scrollWidth") <= 390
        light = browser.evaluate("getComputedStyle(document.body).backgroundColor")
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        dark = browser.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (light, dark) == ("rgb(255, 255, 255)", "rgb(18, 22, 28)")
    finally:
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
        browser.resize(1200, 900)


READ = """fetch("%sreport?run=good", {credentials: "include"}).then((answer) => answer.text(), () => "nothing")"""
FRAME = """new Promise((done) => {
  const frame = document.createElement("iframe");
  frame.onload = () => { try { done(frame.contentDocument.body.innerText); } catch { done("closed"); } };
  frame.src = "%s";
  document.body.append(frame);
})"""


def test_another_site_gets_nothing(browser: Browser, address: str, tmp_path: Path) -> None:
    """A page from elsewhere, in the browser that has the cookie."""
    home = address.partition("?")[0]
    evil = tmp_path / "evil.html"
    evil.write_text("<!doctype html><title>evil</title>")
    browser.open(evil.as_uri())
    assert browser.evaluate(READ % home) == "nothing"
    assert browser.evaluate(FRAME % home) in ("closed", "")
    # Its own errors are what this is about.
    browser.requests[:] = [each for each in browser.requests if not each.startswith("file:")]
    browser.complaints.clear()
