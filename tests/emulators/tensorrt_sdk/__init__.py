"""Puts the emulated TensorRT where Python, the PATH and child processes find it; nothing in it has met hardware."""

import importlib
import os
import shlex
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SITE = HERE / "site"
VERSION = "10.16.1.11"
PACKAGES = ("tensorrt", "cuda")


def install_tensorrt(
    patch: pytest.MonkeyPatch, folder: Path, version: str = VERSION, trtexec: str | None = "same"
) -> None:
    """Install the emulators until `patch` is undone; `trtexec` is that one's version, None puts none on the PATH."""
    for name, its in (("tensorrt", version), ("cuda-bindings", "13.0.0")):
        info = folder / "site" / f"{name.replace('-', '_')}-{its}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {its}\n")
    paths = [str(folder / "site"), str(SITE)]
    patch.setenv("EMULATED_TENSORRT", version)
    patch.setenv("PYTHONPATH", os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")]))
    if trtexec is not None:
        patch.setenv(
            "PATH",
            os.pathsep.join(
                [str(write_trtexec(folder, version if trtexec == "same" else trtexec)), os.environ["PATH"]]
            ),
        )
    replace_modules(patch, paths)


def write_trtexec(folder: Path, version: str) -> Path:
    """Write a `trtexec` of that version; returns its folder."""
    command = folder / "bin" / "trtexec"
    command.parent.mkdir(parents=True, exist_ok=True)
    run = shlex.join([sys.executable, str(HERE / "trtexec.py")])
    command.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(SITE))} EMULATED_TENSORRT={version} exec {run} "$@"\n')
    command.chmod(0o755)
    return command.parent


def replace_modules(patch: pytest.MonkeyPatch, paths: list[str]) -> None:
    """Have this process import the emulators, and forget them when `patch` is undone."""
    from seatrial.engines.tensorrt.session import get_logger

    get_logger.cache_clear()
    patch.setattr(sys, "path", [*paths, *sys.path])
    importlib.invalidate_caches()
    for name in [name for name in sys.modules if name.split(".")[0] in PACKAGES]:
        patch.delitem(sys.modules, name)
    importlib.import_module("tensorrt")
    for name in [name for name in sys.modules if name.split(".")[0] in PACKAGES]:
        module = sys.modules.pop(name)
        patch.setitem(sys.modules, name, module)
