"""benchmarks/battery.py: the figures of what ran replace the old ones of the same name, all others stay."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
ATTACK = """\
import pytest
from battery_figures import SEED, record_figures


@pytest.mark.battery
def test_attack():
    record_figures(3, "attack", 2, ["the second"], seed=SEED)
"""


@pytest.fixture
def battery(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import battery

    yield battery
    sys.modules.pop("battery")


def test_figures_are_merged_and_a_failure_is_told(battery: ModuleType, tmp_path: Path) -> None:
    attack = tmp_path / "test_attack.py"
    attack.write_text(ATTACK)
    known = [
        {"promise": 7, "name": "kills", "cases": 9, "failed": 0},
        {"promise": 3, "name": "attack", "cases": 1, "failed": 0},
    ]
    figures = tmp_path / "battery.json"
    figures.write_text(json.dumps(known))
    words = ["--seed", "41", "--json", str(figures), str(attack)]
    assert battery.main(words) == 1
    attacked, kills = json.loads(figures.read_text())
    assert kills == known[0]
    assert (attacked["cases"], attacked["failed"], attacked["seed"]) == (2, 1, 41)
    assert attacked["commit"] and " cores of " in attacked["machine"]
