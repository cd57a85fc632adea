"""What all files of the battery share."""

import pytest

from battery_figures import note_begin


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    note_begin()
