import os
import subprocess
import sys

import pytest

from seatrial.machine.openmp import brief_spinning

LOAD = """
from seatrial.machine.openmp import brief_spinning
with brief_spinning():
    import torch
import os
print("GOMP_SPINCOUNT" in os.environ, "libgomp" in open("/proc/self/maps").read())
"""


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)


def test_torch_is_loaded_with_the_limit_and_later_processes_without() -> None:
    shown = {**os.environ, "OMP_DISPLAY_ENV": "verbose"}
    done = subprocess.run([sys.executable, "-c", LOAD], env=shown, capture_output=True, text=True, check=True)
    left, has_gnu = done.stdout.split()
    assert left == "False"
    if has_gnu == "True":
        assert "GOMP_SPINCOUNT = '10000'" in done.stderr


@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"])
def test_what_the_user_set_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "3")
    with brief_spinning():
        assert {key: os.environ[key] for key in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY") if key in os.environ} == {
            name: "3"
        }
    assert os.environ[name] == "3"


def test_it_ends_with_an_error_too() -> None:
    with pytest.raises(RuntimeError), brief_spinning():
        assert os.environ["GOMP_SPINCOUNT"] == "10000"
        raise RuntimeError
    assert "GOMP_SPINCOUNT" not in os.environ
