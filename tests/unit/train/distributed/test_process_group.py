"""What processes exchange over gloo, and devices and backends that do not go together."""

import pytest
import torch

from seatrial.errors import DataError, EngineError, UsageError
from seatrial.machine.cpu import count_cores
from seatrial.recipes.training import Train
from seatrial.train.distributed import process_group
from seatrial.train.distributed.launch import launch
from seatrial.train.distributed.process_group import ProcessGroup, count_decoders, join_process_group
from seatrial.train.distributed.rank import RankInfo
from tiny_training import exchange


def test_each_rank_gets_what_the_others_send() -> None:
    received = launch(exchange, 2)
    assert received["all_gather"] == [[0, 0], [1, 10]]
    assert received["sync"] == [True, [[0], [1]]]
    assert received["all_reduce"] == [3, 3]
    assert received["broadcast_tensors"] == [[0, 0], [0, 0]]
    assert received["broadcast"] == ["from 0", "from 0"]
    assert received["threads"] == max(1, count_cores() // 2)
    # All raise it, and one on each machine prints it.
    assert received["raise_on_all"] == [("process 1 has it", False), ("process 1 has it", True)]
    assert received["sync_error"] == "and again"


def test_a_group_of_one_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with join_process_group(Train()) as alone:
        assert (alone.rank, alone.size, alone.is_main, alone.backend) == (0, 1, True, None)
        assert not torch.distributed.is_initialized()
        assert alone.all_gather([3.0, 4.0]).tolist() == [[3, 4]]
        assert alone.all_reduce(torch.ones(2)).tolist() == [1, 1]
        assert alone.broadcast("a") == "a" and alone.all_gather_object("a") == ["a"]
        with pytest.raises(DataError), alone.raise_on_all():
            raise DataError("mine")


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"dist_backend": "hccl"}, EngineError, "npu devices and hccl need torch_npu, which cannot be imported"),
        ({"device": "npu"}, EngineError, "npu devices and hccl need torch_npu, which cannot be imported"),
        (
            {"dist_backend": "nccl"},
            UsageError,
            "--dist-backend nccl is for cuda devices, not cpu; leave --dist-backend out",
        ),
        ({"device": "cuda:7", "dist_backend": "gloo"}, UsageError, "2 processes cannot share --device cuda:7; give"),
        ({"device": "warp"}, EngineError, "torch has no device 'warp:1' here; take --device cpu"),
    ],
)
def test_what_does_not_go_together_is_an_error(
    settings: dict[str, str], kind: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    with pytest.raises(kind, match=words), join_process_group(Train(**settings)):
        pass


def test_a_lost_process_is_recognised_by_gloos_messages() -> None:
    for text in ("[../gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:5", "gloo/transport: x"):
        assert process_group._is_lost_peer(RuntimeError(text))
    assert process_group._is_lost_peer(torch.distributed.DistNetworkError("socket"))
    assert not process_group._is_lost_peer(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_cores_are_shared_among_the_processes_of_a_machine() -> None:
    def count(local_size: int, workers: int | None = None) -> int:
        info = RankInfo(0, 2 * local_size, 0, local_size)
        return count_decoders(Train(workers=workers), ProcessGroup(info, torch.device("cpu"), None))

    assert count(1) == count_cores() and count(1000) == 1 and count(1, 3) == 3
