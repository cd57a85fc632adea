"""The verdict: the worst of all gates, and its exit code."""

from collections.abc import Sequence

from seatrial.errors import ExitCode
from seatrial.store.records import GateResult, Outcome, Verdict


def reach_verdict(recipe: str, gates: Sequence[GateResult]) -> Verdict:
    """FAIL over INCONCLUSIVE over PASS; a run without a single judged gate is INCONCLUSIVE.

    An accuracy gate that failed decides the exit code, else a gate on speed or resources that failed, else what is
    inconclusive.
    """
    failed = {gate.kind for gate in gates if gate.outcome == "FAIL"}
    open_ = not gates or any(gate.outcome == "INCONCLUSIVE" for gate in gates)
    outcome: Outcome = "FAIL" if failed else "INCONCLUSIVE" if open_ else "PASS"
    code = ExitCode.INCONCLUSIVE if open_ else ExitCode.PASS
    if failed:
        code = ExitCode.ACCURACY if "accuracy" in failed else ExitCode.SPEED
    return Verdict(recipe=recipe, outcome=outcome, exit_code=code, gates=tuple(gates))
