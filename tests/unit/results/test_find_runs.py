import os
from pathlib import Path

import pytest

from seatrial.results import find_runs
from seatrial.results.find_runs import FoundRun, RunFinder


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")


def list_found(finder: RunFinder) -> tuple[list[str], list[str]]:
    runs, at_work = finder.find()
    return sorted(run.path for run in runs), sorted(at_work)


def test_runs_are_found_at_any_depth_and_nothing_inside_of_one(tmp_path: Path) -> None:
    make(tmp_path, "a/run.json", "a/inside/run.json", "b/c/d/run.json", ".hidden/run.json", "b/other.json")
    assert list_found(RunFinder(tmp_path)) == (["a", "b/c/d"], [])


def test_the_folder_itself_may_be_one(tmp_path: Path) -> None:
    make(tmp_path, "run.json", "a/run.json")
    assert list_found(RunFinder(tmp_path)) == (["."], [])


def test_links_are_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "elsewhere/run.json", "root/a/x")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "a" / "run.json").symlink_to(tmp_path / "elsewhere" / "run.json")
    assert list_found(RunFinder(tmp_path / "root")) == ([], [])
    # A run kept by a tool that puts links in the place of large or old files is one all the same, where that is wanted.
    assert list_found(RunFinder(tmp_path / "root", links=True)) == (["a"], [])


def test_many_are_found_as_few_are(tmp_path: Path) -> None:
    """More folders in one level than a thread takes at a time."""
    names = [f"g{index % 2}/r{index:03d}" for index in range(3 * find_runs.PART)]
    make(tmp_path, *(f"{name}/run.json" for name in names))
    assert list_found(RunFinder(tmp_path)) == (sorted(names), [])


def test_a_verdict_of_ours_without_a_run_is_found(tmp_path: Path) -> None:
    make(tmp_path, "a/x", "b/verdict.json")
    (tmp_path / "a" / "verdict.json").write_text('{"schema": "seatrial/verdict/1"}')
    assert list_found(RunFinder(tmp_path)) == (["a"], [])


def test_traces_of_work_are_found(tmp_path: Path) -> None:
    make(tmp_path, "e/.torch.ledger", "t/train.jsonl", "b/.ort.points/0001.json", "n/torch.ledger", "n/.points")
    assert list_found(RunFinder(tmp_path)) == ([], ["b", "e", "t"])


def test_it_tells_when_a_run_was_begun(tmp_path: Path) -> None:
    make(tmp_path, "a/run.json")
    os.utime(tmp_path / "a" / "run.json", ns=(5, 7))
    assert RunFinder(tmp_path).find()[0] == [FoundRun("a", 7)]


def test_what_cannot_be_looked_into_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a/x", "b/run.json")

    def refuse(place: str) -> object:
        if place.endswith("/a"):
            raise PermissionError(13, "Permission denied", place)
        return scan(place)

    scan = os.scandir
    monkeypatch.setattr(find_runs.os, "scandir", refuse)
    found = {run.path: run.reason for run in RunFinder(tmp_path).find()[0]}
    assert found == {"a": "it cannot be read (Permission denied)", "b": ""}


def test_only_folders_that_changed_are_listed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "old/a/run.json", "new/b/run.json")
    for name in ("old", "new", "."):
        os.utime(tmp_path / name, ns=(10**18, 10**18))
    listed: list[str] = []
    scan = os.scandir
    monkeypatch.setattr(find_runs.os, "scandir", lambda place: listed.append(Path(place).name) or scan(place))
    finder = RunFinder(tmp_path)
    assert list_found(finder) == (["new/b", "old/a"], []) and len(listed) == 3
    assert list_found(finder) == (["new/b", "old/a"], []) and len(listed) == 3
    make(tmp_path, "new/c/run.json")
    assert list_found(finder) == (["new/b", "new/c", "old/a"], [])
    assert listed[3:] == ["new"]
    # It has just changed, so it may change again within the same tick of the clock.
    make(tmp_path, "new/d/run.json")
    assert list_found(finder)[0] == ["new/b", "new/c", "new/d", "old/a"]
