"""The manual as a site: links, anchors, images and navigation; slowly, that it builds and opens from disk."""

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from headless_browser import Browser, find_browser
from pages import ROOT

BUILDER = ROOT / ".venv-docs" / "bin" / "python"


@pytest.fixture
def site() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_site", ROOT / "docs" / "build_site.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_link_anchor_and_image_leads_somewhere_and_every_page_is_in_the_navigation(site: ModuleType) -> None:
    assert site.find_faults(list(site.list_pages(site.read_project()["nav"]))) == []


def test_what_is_wrong_with_pages_is_found(site: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(
        "# One: `a`\n\n[good](docs/a.md#two-words) [self](#one-a) [out](https://example.org) `[code](none.md)`\n"
        "[](docs/a.md) [gone](docs/b.md) [no heading](docs/a.md#three) ![far](https://example.org/a.png)\n"
        "[unlisted](docs/c.md) ![heavy](docs/heavy.png)\n"
        "[by name][n]\n\n```\n[fenced](none.md)\n```\n\n[n]: docs/none.txt\n"
    )
    (tmp_path / "docs" / "a.md").write_text('## Two *words*\n\n<a name="here"></a> [named](#here)\n')
    (tmp_path / "docs" / "heavy.png").write_bytes(bytes(300_001))
    (tmp_path / "docs" / "c.md").write_text("# C\n")
    assert site.find_faults(["README.md", "docs/a.md", "docs/a.md", "docs/d.md"]) == [
        "zensical.toml: nav lacks docs/c.md",
        "zensical.toml: nav has docs/d.md, which is not there",
        "zensical.toml: nav has docs/a.md twice",
        "README.md: the link to docs/a.md has no text",
        "README.md: links to docs/b.md, which is not there",
        "README.md: links to docs/a.md#three, but docs/a.md has no such heading",
        "README.md: the image https://example.org/a.png is not in the tree",
        "README.md: links to docs/c.md, which is not in the navigation",
        "README.md: the image docs/heavy.png has more than 300000 bytes",
        "README.md: links to docs/none.txt, which is not there",
    ]


def test_a_link_to_source_loses_its_link_on_the_site(
    site: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "ROOT", tmp_path)
    (tmp_path / "example").mkdir()
    for name in ("code.py", "data.json", "example/README.md"):
        (tmp_path / name).write_text("text")
    page = "[code](code.py), [data](data.json), [folder](example), [folder](example/README.md), [out](https://a.b/c)\n"
    (tmp_path / "README.md").write_text(page)
    site.copy_pages(["README.md", "example/README.md"], tmp_path / "stage")
    assert (tmp_path / "stage" / "README.md").read_text() == page.replace("[code](code.py)", "code").replace(
        "(example)", "(example/README.md)"
    )
    copied = [path for path in (tmp_path / "stage").rglob("*") if path.is_file()]
    assert {path.name for path in copied} == {"README.md", "data.json"} and len(copied) == 3


def test_what_a_built_page_lacks_is_found(site: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<link rel="stylesheet" href="a.css"><link rel="canonical" href="https://a.b"><p id="here">'
        '<a href="#here">1</a><a href="#gone">2</a><a href="b.html">3</a><a href=".">4</a><a href="https://a.b">5</a>'
        '<script src="https://a.b/c.js"></script><img src="data:image/png;base64,AA=="><img src="none.png">'
    )
    (tmp_path / "a.css").write_text("@font-face { src: url('https://a.b/font.woff2') } p { background: url(a.png) }")
    faults = ["#gone", ".", "b.html", "https://a.b/c.js", "none.png"]
    assert site.find_built_faults(tmp_path) == [
        *(f"a.html: {fault}" for fault in faults),
        "a.css: https://a.b/font.woff2",
    ]


@pytest.mark.slow
@pytest.mark.skipif(not BUILDER.exists(), reason="the site generator is not installed: `make docs` does it")
def test_the_site_builds_and_its_search_works_from_disk(site: ModuleType) -> None:
    built = subprocess.run([BUILDER, "docs/build_site.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    if find_browser() is None:
        pytest.skip("there is no browser")
    with Browser() as browser:
        browser.open((ROOT / site.read_project()["site_dir"] / "docs" / "speed.html").as_uri())
        browser.evaluate("document.querySelector('.md-search__button').click()")
        browser.wait_until("document.activeElement.shadowRoot?.activeElement.tagName === 'INPUT'")
        browser.write("inconclusive")
        browser.wait_until("document.activeElement.shadowRoot.textContent.includes('PASS, FAIL, INCONCLUSIVE')")
        assert browser.complaints == []
        assert [address for address in browser.requests if not address.startswith(("file:", "data:"))] == []
