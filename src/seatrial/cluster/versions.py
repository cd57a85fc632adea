"""Machines of a cluster must agree in the software that moves an answer; their CPUs may differ, which is told."""

from collections import Counter
from collections.abc import Mapping, Sequence

from seatrial.cluster.messages import Node
from seatrial.errors import EngineError
from seatrial.machine.environment import machine_hash
from seatrial.store.records import Environment


def find_common(nodes: Sequence[Node], ours: Environment) -> Environment:
    """The most common machine's environment, with the versions of all of them.

    Args:
        ours: of the process that asks, whose `seatrial` the others must have.

    Raises:
        EngineError: two machines have other versions of a distribution.
    """
    name = "seatrial"
    versions = {name: ours.versions[name]} if name in ours.versions else {}
    surveyed = [(node, node.environment) for node in nodes if node.environment is not None]
    for node, found in surveyed:
        check_versions(versions, found.versions, node.address)
        versions |= found.versions
    counts = Counter(machine_hash(found) for _, found in surveyed)
    chosen = min(counts, key=lambda kind: (-counts[kind], kind))
    return next(found for _, found in surveyed if machine_hash(found) == chosen)


def check_versions(expected: Mapping[str, str], found: Mapping[str, str], where: str) -> None:
    """Refuse a machine that has another version of something; what one of both lacks moves nothing.

    Raises:
        EngineError: names the first.
    """
    for name in sorted(expected.keys() & found.keys()):
        if expected[name] != found[name]:
            raise EngineError(
                f"{where} has {name} {found[name]}, others of the cluster have {expected[name]}",
                f"install {name} {expected[name]} there: answers must not depend on who gives them",
            )
