"""Gates as lines of text."""

from seatrial.metrics.inequality import EACH, list_terms
from seatrial.store.records import GateResult


def describe_gate(result: GateResult) -> str:
    """Why a gate came out as it did, with the engine where its expression names none."""
    each = any(term.engine == EACH for term in list_terms(result.expression))
    return f"{result.engine}: {result.reason}" if each else result.reason
