"""Hooks for commits: ours are `make check`'s programs, and the one for others refuses a card that cannot be read."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
HOOKS: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
OURS: dict[str, dict[str, Any]] = {hook["id"]: hook for repo in CONFIG["repos"] for hook in repo["hooks"]}


def test_our_hooks_are_the_programs_of_make_check() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ncheck:")[2].partition("\n\n")[0]
    programs = set(re.findall(r"\$\(BIN\)/([\w-]+(?: check| format --check)?)", recipe))
    fast = {
        entry["entry"].removeprefix(".venv/bin/").removesuffix(" --force-exclude")
        for name, entry in OURS.items()
        if name in ("ruff", "ruff-format", "codespell")
    }
    assert fast <= programs and OURS["check"]["entry"] == "make check"
    # No versions but those of constraints.txt.
    assert {repo["repo"] for repo in CONFIG["repos"]} == {"local"}


def test_each_hook_sees_the_files_that_it_is_for() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name, hook in OURS.items():
        assert "types" in hook or any(re.search(hook["files"], file) for file in files), name


def test_a_card_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (hook,) = HOOKS
    command = tmp_path / "seatrial"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m seatrial "$@"\n')
    command.chmod(0o755)
    (tmp_path / "cards").mkdir()
    good, bad = tmp_path / "cards" / "good.toml", tmp_path / "cards" / "bad.toml"
    good.write_text('base = "resnet50"\nname = "mine"\n')
    bad.write_text('base = "resnet50"\nname = "mine"\n[gates]\nrequire = ["top1 >> 0.7"]\n')
    assert all(re.search(hook["files"], f"cards/{path.name}") for path in (good, bad))

    def commit(*cards: Path) -> subprocess.CompletedProcess[str]:
        words = [*shlex.split(hook["entry"]), *map(str, cards)]
        path = f"{tmp_path}:/usr/bin:/bin"
        return subprocess.run(words, env={"PATH": path}, capture_output=True, text=True, check=False)

    assert commit(good).returncode == 0
    refused = commit(good, bad)
    assert (
        refused.returncode == 2
        and "top1 >> 0.7" in refused.stderr
        and refused.stderr.endswith(f"in {bad}\n")
        and refused.stdout == ""
    )
