import pytest

from seatrial.errors import UsageError
from seatrial.train.distributed.rank import Place, read_place


def test_without_a_launcher_a_process_is_alone() -> None:
    alone = read_place({"PATH": "/bin", "RANK": "3"})
    assert alone == Place(0, 1, 0, 1, launched=False) and alone.first


def test_torchrun_tells_which_process_it_is() -> None:
    told = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    place = read_place(told)
    assert place == Place(5, 8, 1, 4, launched=True) and not place.first
    assert read_place({"RANK": "1", "WORLD_SIZE": "2"}) == Place(1, 2, 1, 2, launched=True)
    again = read_place({**told, "TORCHELASTIC_RESTART_COUNT": "2"})
    assert again == Place(5, 8, 1, 4, launched=True, restarts=2)


def test_what_is_no_number_is_told() -> None:
    with pytest.raises(UsageError, match="RANK=one, WORLD_SIZE=2, LOCAL_RANK=None, which are no numbers; start it"):
        read_place({"RANK": "one", "WORLD_SIZE": "2"})
