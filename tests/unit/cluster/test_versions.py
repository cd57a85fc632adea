from dataclasses import replace

import pytest

from seatrial.cluster.messages import Node
from seatrial.cluster.versions import check_versions, find_common
from seatrial.errors import EngineError
from seatrial.machine.environment import machine_hash, read_environment
from seatrial.store.measurement import Environment

OURS = read_environment().model_copy(update={"versions": {"seatrial": "1", "numpy": "2"}})


def make_node(address: str, cpu: str = "A", **versions: str) -> Node:
    found = OURS.model_copy(update={"cpu": cpu, "versions": {"seatrial": "1", **versions}})
    return Node(address, address, 4, None, found)


def read_cpu(nodes: list[Node], ours: Environment = OURS) -> str:
    return find_common(nodes, ours).cpu


def test_the_most_common_machine_stands_for_all() -> None:
    assert read_cpu([make_node("x", "A"), make_node("y", "B"), make_node("z", "B")]) == "B"
    pair = [make_node("x", "A"), make_node("y", "B")]
    assert read_cpu(pair) == read_cpu(pair[::-1]), "a tie must not depend on the order"
    assert machine_hash(find_common([make_node("x", OURS.cpu)], OURS)) == machine_hash(OURS)


def test_machines_that_differ_in_software_are_refused() -> None:
    nodes = [make_node("x", numpy="2"), make_node("y", pillow="3"), make_node("z", numpy="2.1")]
    assert find_common(nodes[:2], OURS).versions
    with pytest.raises(EngineError, match=r"^z has numpy 2\.1, others of the cluster have 2; install numpy 2 there"):
        find_common(nodes, OURS)


def test_the_asking_process_must_have_the_same_seatrial() -> None:
    ours = OURS.model_copy(update={"versions": {"seatrial": "2", "numpy": "1"}})
    with pytest.raises(EngineError, match="x has seatrial 1"):
        find_common([make_node("x", numpy="2")], ours)


def test_what_one_machine_lacks_moves_nothing() -> None:
    check_versions({"torch": "2"}, {"numpy": "2"}, "x")
    assert replace(make_node("x"), environment=None).environment is None
