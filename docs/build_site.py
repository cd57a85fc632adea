"""Builds the manual as a site that opens from disk, and checks its pages before and after.

`make docs` calls it. The pages are those that `nav` of zensical.toml lists; they are copied to its `docs_dir` as they
lie in the tree, so that a link works on both. A link to a file of source, which the site lacks, loses its link there.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[1]
ASSETS = {".png", ".json", ".txt", ".diff", ".ipynb"}
"""Endings of the files that are copied beside the pages that link to them."""
SITE = Path(__file__).parent / "site"
"""What the site has of its own: scripts, styles."""
HEAVIEST_IMAGE_BYTES = 300_000
PAGES = ("*.md", "docs/**/*.md", "examples/**/*.md")
"""What must be in the navigation."""

_FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"`[^`]*`|(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_DEFINITION = re.compile(r"^\[(?P<name>\w+)\]: (?P<target>\S+)\n", re.MULTILINE)


def main() -> None:
    """Build the site; leaves with the list of faults where there are any."""
    project = read_project()
    pages = list(list_pages(project["nav"]))
    refuse_faults(find_faults(pages))
    stage, built = ROOT / project["docs_dir"], ROOT / project["site_dir"]
    for folder in (stage, built):
        shutil.rmtree(folder, ignore_errors=True)
    copy_pages(pages, stage)
    shutil.copytree(SITE, stage / SITE.relative_to(ROOT))
    zensical = Path(sys.executable).with_name("zensical")
    code = subprocess.run([zensical, "build", "--clean", "--strict"], cwd=ROOT, check=False).returncode
    refuse_faults([f"zensical failed with exit code {code}"] if code else find_built_faults(built))
    print(f"{len(pages)} pages: {built / 'index.html'}")  # noqa: T201


def refuse_faults(faults: list[str]) -> None:
    """Leave with exit code 1 and a line for each fault."""
    if faults:
        sys.exit("\n".join(faults))


def read_project() -> dict[str, object]:
    """The settings in zensical.toml."""
    project: dict[str, object] = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    return project


def list_pages(nav: object) -> Iterator[str]:
    """The pages of a navigation in their order, as paths from the root."""
    if isinstance(nav, str):
        yield nav
    else:
        assert isinstance(nav, dict | list)
        for entry in nav.values() if isinstance(nav, dict) else nav:
            yield from list_pages(entry)


def read_links(text: str) -> Iterator[re.Match[str]]:
    """The links and images of a page whose reference links are written out, without those that are code."""
    fences = [match.span() for match in _FENCE.finditer(text)]
    for match in _LINK.finditer(text):
        if match["target"] and not any(start <= match.start() < end for start, end in fences):
            yield match


def write_out_references(text: str) -> str:
    """`[text][name]` with its definition further down becomes `[text](target)`."""
    for name, target in _DEFINITION.findall(text):
        text = text.replace(f"[{name}]: {target}\n", "").replace(f"][{name}]", f"]({target})")
    return text


def read_page(page: str) -> str:
    """The text of a page, reference links written out."""
    return write_out_references((ROOT / page).read_text(encoding="utf-8"))


def list_anchors(text: str) -> list[str]:
    """The anchors of a page: those of its headings, as GitHub and pymdownx.slugs make them, and named ones."""
    text = _FENCE.sub("", text)
    headings = re.findall(r"^#+ (.+?) *$", text, re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain]
    return slugs + re.findall(r'<a (?:name|id)="([^"]+)"', text)


def find_faults(pages: list[str]) -> list[str]:
    """Links, anchors, images and navigation of the pages in the tree; a line for each that is wrong."""
    there = {str(path.relative_to(ROOT)) for pattern in PAGES for path in ROOT.glob(pattern)}
    faults = [f"zensical.toml: nav lacks {page}" for page in sorted(there - set(pages))]
    faults += [f"zensical.toml: nav has {page}, which is not there" for page in sorted(set(pages) - there)]
    faults += [f"zensical.toml: nav has {page} twice" for page in sorted({p for p in pages if pages.count(p) > 1})]
    for page in sorted(there & set(pages)):
        text = read_page(page)
        faults += [f"{page}: {fault}" for match in read_links(text) for fault in find_link_faults(page, match, pages)]
    return faults


def find_link_faults(page: str, match: re.Match[str], pages: list[str]) -> Iterator[str]:
    """What is wrong with one link of a page."""
    link = match["target"]
    if not match["text"].strip():
        yield f"the link to {link} has no text"
    if urlsplit(link).scheme:
        if match["image"]:
            yield f"the image {link} is not in the tree"
        return
    name, _, anchor = link.partition("#")
    target = resolve_link(page, name)
    if target is not None and match["image"] and (ROOT / target).stat().st_size > HEAVIEST_IMAGE_BYTES:
        yield f"the image {link} has more than {HEAVIEST_IMAGE_BYTES} bytes"
    if target is None:
        yield f"links to {link}, which is not there"
    elif target.endswith(".md") and target not in pages:
        yield f"links to {link}, which is not in the navigation"
    elif anchor and anchor not in list_anchors(read_page(target)):
        yield f"links to {link}, but {target} has no such heading"


def resolve_link(page: str, name: str) -> str | None:
    """The path from the root of what a page links to, a folder's README.md for the folder; None where there is none."""
    target = (ROOT / page).parent / unquote(name) if name else ROOT / page
    if (target / "README.md").is_file():
        target /= "README.md"
    resolved = target.resolve()
    return str(resolved.relative_to(ROOT)) if resolved.exists() and resolved.is_relative_to(ROOT) else None


def copy_pages(pages: list[str], stage: Path) -> None:
    """Copy the pages and the assets that they link to; the other links to files of the tree lose their link."""
    for page in pages:
        text = read_page(page)
        for match in reversed(list(read_links(text))):
            name, hash_, anchor = match["target"].partition("#")
            target = None if urlsplit(name).scheme else resolve_link(page, name)
            if target is None or not name:
                continue
            if target in pages:
                file = name if name.endswith(".md") else f"{name.rstrip('/')}/README.md"
                put = match[0].replace(f"({match['target']})", f"({file}{hash_}{anchor})")
            elif Path(target).suffix in ASSETS:
                put = match[0]
                (stage / target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / target, stage / target)
            else:
                put = match["text"]
            text = text[: match.start()] + put + text[match.end() :]
        (stage / page).parent.mkdir(parents=True, exist_ok=True)
        (stage / page).write_text(text, encoding="utf-8")


class Document(HTMLParser):
    """The anchors of a built page, where it leads to and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        elif tag == "link" and given.get("rel") not in ("canonical", "prev", "next", "alternate"):
            self.loads.add(given.get("href", ""))
        elif "src" in given:
            self.loads.add(given["src"])


def find_built_faults(built: Path) -> list[str]:
    """Whatever a built page links to or loads that is not in the site's folder; a line for each."""
    documents = {path.resolve(): Document(path.read_text(encoding="utf-8")) for path in built.rglob("*.html")}
    faults = []
    for path, document in documents.items():
        # The page for missing addresses is of use on a server alone, where its links begin at the top.
        if path.name == "404.html":
            continue
        for link in sorted(document.links | document.loads):
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if parts.scheme or parts.netloc:
                wrong = link in document.loads and parts.scheme != "data"
            elif target in documents:
                wrong = bool(parts.fragment) and unquote(parts.fragment) not in documents[target].anchors
            else:
                wrong = not target.is_file()
            if wrong:
                faults.append(f"{path.relative_to(built.resolve())}: {link}")
    for sheet in built.rglob("*.css"):
        outside = re.findall(r"url\(['\"]?(https?:[^)'\"]+)", sheet.read_text(encoding="utf-8"))
        faults += [f"{sheet.relative_to(built)}: {link}" for link in outside]
    return faults


if __name__ == "__main__":
    main()
