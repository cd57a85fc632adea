"""Processes that say things to one another over gloo, and devices and backends that do not go together."""

import pytest
import torch

from seatrial.errors import DataError, EngineError, UsageError
from seatrial.machine.cpu import count_cores
from seatrial.recipes.training import Train
from seatrial.train.distributed import process_group as world
from seatrial.train.distributed.launch import launch
from seatrial.train.distributed.process_group import World, count_decoders, join_world
from seatrial.train.distributed.rank import Place
from tiny_training import talk


def test_processes_hear_one_another() -> None:
    heard = launch(talk, 2)
    assert heard["collect"] == [[0, 0], [1, 10]]
    assert heard["meet"] == [True, [[0], [1]]]
    assert heard["add_up"] == [3, 3]
    assert heard["spread"] == [[0, 0], [0, 0]]
    assert heard["share"] == ["from 0", "from 0"]
    assert heard["threads"] == max(1, count_cores() // 2)
    # All raise it, and the one with the terminal's first place says it.
    assert heard["together"] == [("process 1 has it", False), ("process 1 has it", True)]
    assert heard["again"] == "and again"


def test_a_world_of_one_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with join_world(Train()) as alone:
        assert (alone.rank, alone.size, alone.first, alone.backend) == (0, 1, True, None)
        assert not torch.distributed.is_initialized()
        assert alone.collect([3.0, 4.0]).tolist() == [[3, 4]]
        assert alone.add_up(torch.ones(2)).tolist() == [1, 1]
        assert alone.share("a") == "a" and alone.gather("a") == ["a"]
        with pytest.raises(DataError), alone.together():
            raise DataError("mine")


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"dist_backend": "hccl"}, EngineError, "npu devices and hccl need torch_npu, which cannot be used here"),
        ({"device": "npu"}, EngineError, "npu devices and hccl need torch_npu, which cannot be used here"),
        ({"dist_backend": "nccl"}, UsageError, "nccl connects devices of kind cuda, not cpu; leave --dist-backend at"),
        ({"device": "cuda:7", "dist_backend": "gloo"}, UsageError, "2 processes cannot share device cuda:7; give"),
        ({"device": "warp"}, EngineError, "torch has no device 'warp:1' here; it has cpu"),
    ],
)
def test_what_does_not_go_together_is_told(
    settings: dict[str, str], kind: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    with pytest.raises(kind, match=words), join_world(Train(**settings)):
        pass


def test_a_lost_process_is_known_by_gloos_words() -> None:
    for told in ("[../gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:5", "gloo/transport: x"):
        assert world._is_lost_peer(RuntimeError(told))
    assert world._is_lost_peer(torch.distributed.DistNetworkError("socket"))
    assert not world._is_lost_peer(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_cores_are_shared_among_the_processes_of_a_machine() -> None:
    def count(local_size: int, workers: int | None = None) -> int:
        place = Place(0, 2 * local_size, 0, local_size)
        return count_decoders(Train(workers=workers), World(place, torch.device("cpu"), None))

    assert count(1) == count_cores() and count(1000) == 1 and count(1, 3) == 3
