"""Promise 9: a wrong accuracy does not pass: each fault of benchmarks/planted.py ends with an exit code of its own.

Some of them are planted with every test run: tests/docs/test_planted_benchmark.py.
"""

from pathlib import Path

import pytest

from battery_figures import record_figures

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.battery
def test_no_planted_fault_passes_and_what_is_sound_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import planted

    planted.main(["--folder", str(tmp_path), "--json", str(tmp_path / "found.json")])
    rows = planted.load_rows(tmp_path / "found.json")
    assert rows.keys() == {f"{fault.command}: {fault.name}" for fault in planted.list_faults()}
    wrong = [f"{row.key}: {row.shown}, {row.tried.reason[:200]}" for row in rows.values() if row.wrong]
    wrong += [f"{row.key}: {row.tried.reason[:200]}" for row in rows.values() if row.tried.code < 0]
    mended = sum(not row.sound and row.tried.code == 0 for row in rows.values())
    sound = sum(row.sound for row in rows.values())
    notes = f"{len(rows) - sound} faults, {mended} of them mended or named on the way; {sound} sound cases"
    record_figures(9, "planted faults and sound cases", len(rows), wrong, notes=notes)
