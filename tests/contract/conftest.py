"""Engines that no machine of ours can run are held to the same promises through emulators of their tools."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from emulators.tensorrt_sdk import install_tensorrt

EMULATED = {"tensorrt": install_tensorrt}
DEVICES = {"tensorrt": "cuda:0"}
NUMBERS = {"tensorrt": "workspace_mb"}
Emulate = Callable[[str], AbstractContextManager[None]]


@pytest.fixture(scope="session")
def emulate(tmp_path_factory: pytest.TempPathFactory) -> Emulate:
    """A context in which an engine's tools are there, emulated where it must be."""

    @contextmanager
    def installed(engine: str) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            if engine in EMULATED:
                EMULATED[engine](patch, tmp_path_factory.mktemp(engine))
            yield

    return installed


@pytest.fixture(scope="module")
def device(engine: str) -> str:
    """Where the engine runs."""
    return DEVICES.get(engine, "cpu")


@pytest.fixture(scope="module")
def number(engine: str) -> str:
    """An option of the engine that takes a whole number."""
    return NUMBERS.get(engine, "threads")
