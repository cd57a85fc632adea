"""The suite runs over the ascend engine too, whose SDK is emulated: see tests/emulators."""

from collections.abc import Iterator

import pytest

from ascend_machine import emulate_ascend


@pytest.fixture(scope="module", autouse=True)
def _emulated_ascend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with emulate_ascend(tmp_path_factory.mktemp("cann")):
        yield
