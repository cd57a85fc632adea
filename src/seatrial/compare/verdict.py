"""The verdict: the worst of all gates, and the exit code that tells it."""

from collections.abc import Sequence

from seatrial.store.records import GateResult, Outcome, Verdict

ACCURACY_FAILED, SPEED_FAILED, INCONCLUSIVE = 3, 4, 7


def reach_verdict(recipe: str, gates: Sequence[GateResult]) -> Verdict:
    """FAIL over INCONCLUSIVE over PASS; a run without a single judged gate is INCONCLUSIVE.

    The exit code is 3 if an accuracy gate failed, else 4 if a speed gate failed, else 7 if something is inconclusive.
    """
    failed = {gate.kind for gate in gates if gate.outcome == "FAIL"}
    open_ = not gates or any(gate.outcome == "INCONCLUSIVE" for gate in gates)
    code = ACCURACY_FAILED if "accuracy" in failed else SPEED_FAILED if failed else INCONCLUSIVE if open_ else 0
    outcome: Outcome = "FAIL" if failed else "INCONCLUSIVE" if open_ else "PASS"
    return Verdict(recipe=recipe, outcome=outcome, exit_code=code, gates=tuple(gates))
