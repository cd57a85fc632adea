"""Machines of a cluster must agree in the software that may move logits; CPUs that differ are noted."""

from collections import Counter
from collections.abc import Mapping, Sequence

from seatrial.cluster.messages import Node
from seatrial.errors import EngineError
from seatrial.machine.environment import machine_hash
from seatrial.store.measurement import Environment


def find_common(nodes: Sequence[Node], ours: Environment) -> Environment:
    """The most common machine's environment, with the versions of all of them.

    Args:
        ours: of the evaluating process, whose `seatrial` the others must have.

    Raises:
        EngineError: two machines have other versions of a distribution.
    """
    name = "seatrial"
    versions = {name: ours.versions[name]} if name in ours.versions else {}
    surveyed = [(node, node.environment) for node in nodes if node.environment is not None]
    for node, theirs in surveyed:
        check_versions(versions, theirs.versions, node.address)
        versions |= theirs.versions
    counts = Counter(machine_hash(theirs) for _, theirs in surveyed)
    chosen = min(counts, key=lambda kind: (-counts[kind], kind))
    return next(theirs for _, theirs in surveyed if machine_hash(theirs) == chosen)


def check_versions(expected: Mapping[str, str], actual: Mapping[str, str], where: str) -> None:
    """Refuse a machine that has another version of something; what one of both lacks moves nothing.

    Raises:
        EngineError: names the first.
    """
    for name in sorted(expected.keys() & actual.keys()):
        if expected[name] != actual[name]:
            raise EngineError(
                f"{where} has {name} {actual[name]}, others of the cluster have {expected[name]}",
                f"install {name} {expected[name]} there: predictions must not depend on the machine",
            )
