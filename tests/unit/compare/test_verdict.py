import pytest

from seatrial.compare.verdict import reach_verdict
from seatrial.store.records import GateResult


def judged(text: str) -> list[GateResult]:
    """Gates from words such as `accuracy:FAIL`."""
    gates = []
    for word in text.split():
        kind, outcome = word.split(":")
        gates.append(
            GateResult.model_validate(
                {"gate": "g", "engine": "e", "kind": kind, "outcome": outcome, "reason": "because"}
            )
        )
    return gates


@pytest.mark.parametrize(
    ("gates", "outcome", "exit_code"),
    [
        ("accuracy:PASS", "PASS", 0),
        ("accuracy:PASS speed:PASS", "PASS", 0),
        ("accuracy:FAIL", "FAIL", 3),
        ("speed:FAIL accuracy:FAIL", "FAIL", 3),
        ("accuracy:FAIL speed:INCONCLUSIVE", "FAIL", 3),
        ("accuracy:PASS speed:FAIL", "FAIL", 4),
        ("accuracy:INCONCLUSIVE speed:FAIL", "FAIL", 4),
        ("accuracy:INCONCLUSIVE speed:PASS", "INCONCLUSIVE", 7),
        ("accuracy:PASS speed:INCONCLUSIVE", "INCONCLUSIVE", 7),
        ("", "INCONCLUSIVE", 7),
    ],
)
def test_the_worst_gate_decides(gates: str, outcome: str, exit_code: int) -> None:
    verdict = reach_verdict("small", judged(gates))
    assert (verdict.recipe, verdict.outcome, verdict.exit_code) == ("small", outcome, exit_code)
    assert list(verdict.gates) == judged(gates)
