"""Engines whose SDK cannot be here are held to the same promises on emulators: see tests/emulators."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from ascend_machine import emulate_ascend
from emulators.tensorrt_sdk import install_tensorrt


@pytest.fixture(scope="session")
def emulate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], AbstractContextManager[None]]:
    """A context in which an engine finds its SDK."""

    @contextmanager
    def installed(engine: str) -> Iterator[None]:
        if engine == "ascend":
            with emulate_ascend(tmp_path_factory.mktemp(engine)):
                yield
            return
        with pytest.MonkeyPatch.context() as patch:
            if engine == "tensorrt":
                install_tensorrt(patch, tmp_path_factory.mktemp(engine))
            yield

    return installed
