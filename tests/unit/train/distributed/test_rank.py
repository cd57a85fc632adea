import pytest

from seatrial.errors import UsageError
from seatrial.train.distributed.rank import RankInfo, read_rank


def test_without_a_launcher_a_process_is_alone() -> None:
    alone = read_rank({"PATH": "/bin", "RANK": "3"})
    assert alone == RankInfo(0, 1, 0, 1, launched=False) and alone.is_main


def test_torchrun_gives_the_rank() -> None:
    variables = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    rank = read_rank(variables)
    assert rank == RankInfo(5, 8, 1, 4, launched=True) and not rank.is_main
    assert read_rank({"RANK": "1", "WORLD_SIZE": "2"}) == RankInfo(1, 2, 1, 2, launched=True)
    again = read_rank({**variables, "TORCHELASTIC_RESTART_COUNT": "2"})
    assert again == RankInfo(5, 8, 1, 4, launched=True, restarts=2)


def test_what_is_no_number_is_an_error() -> None:
    with pytest.raises(
        UsageError, match="RANK=one, WORLD_SIZE=2, LOCAL_RANK=None, which must be whole numbers; start it"
    ):
        read_rank({"RANK": "one", "WORLD_SIZE": "2"})
