import numpy as np
import pytest

from seatrial.cluster.messages import Node, Placement, Wish
from seatrial.cluster.placement import CHUNK, LANES, MOST_WORKERS, TURNS, find_resource, place_actors, split_chunks
from seatrial.errors import EngineError


def make_nodes(*cpus: int, devices: int | None = None) -> tuple[Node, ...]:
    return tuple(Node(f"n{index}", f"10.0.0.{index}", count, devices) for index, count in enumerate(cpus))


@pytest.mark.parametrize(
    ("cpus", "actors", "each", "expected"),
    [
        ((2,), None, None, Placement(1, 2)),
        ((4, 4), None, None, Placement(2, 4)),
        ((4, 6), None, None, Placement(2, 4)),
        ((64, 16), None, None, Placement(10, MOST_WORKERS)),
        ((4, 4), None, 1, Placement(8, 1)),
        ((4, 4), 3, None, Placement(3, 2)),
        ((4, 4), 7, None, Placement(7, 1)),
        ((4, 4), 1, 3, Placement(1, 3)),
        ((2, 16), None, 16, Placement(1, 16)),
    ],
)
def test_actors_fill_the_machines(
    cpus: tuple[int, ...], actors: int | None, each: int | None, expected: Placement
) -> None:
    assert place_actors(make_nodes(*cpus), Wish(None, actors, each)) == expected


def test_there_are_no_more_actors_than_before_a_loss() -> None:
    assert place_actors(make_nodes(4, 4), Wish(None, cpus_per_actor=1, most_actors=3)) == Placement(3, 1)
    assert place_actors(make_nodes(2), Wish(None, cpus_per_actor=1, most_actors=3)) == Placement(2, 1)


def test_each_actor_has_a_device() -> None:
    assert place_actors(make_nodes(32, 32, devices=4), Wish(None, None, None)) == Placement(8, 8)
    assert place_actors(make_nodes(4, devices=4), Wish(None, None, None)) == Placement(4, 1)
    assert place_actors(make_nodes(64, devices=2), Wish(None, None, 4)) == Placement(2, 4)
    with pytest.raises(
        EngineError, match=r"no room for 3 actors .*\(10\.0\.0\.0: 64 CPUs, 2 devices\); give --actors 2"
    ):
        place_actors(make_nodes(64, devices=2), Wish(None, 3, 4))


@pytest.mark.parametrize(
    ("cpus", "actors", "each", "told"),
    [
        ((), None, None, r"no room for 1 actor of 1 CPU \(no machine with a CPU to give\); add machines"),
        ((4, 4), 3, 4, r"3 actors of 4 CPUs \(10\.0\.0\.0: 4 CPUs; .*\); give --actors 2 or less"),
        ((4, 4), 9, None, r"9 actors of 1 CPU \(.* give --actors 8 or less"),
        ((4, 4), None, 5, r"1 actor of 5 CPUs \(.* add machines"),
    ],
)
def test_what_finds_no_room_is_refused(cpus: tuple[int, ...], actors: int | None, each: int | None, told: str) -> None:
    with pytest.raises(EngineError, match=told):
        place_actors(make_nodes(*cpus), Wish(None, actors, each))


def test_devices_are_what_ray_calls_them() -> None:
    assert [find_resource(device) for device in ("cpu", "cuda:1", "tensorrt:0", "npu:3")] == [None, "GPU", "GPU", "NPU"]
    with pytest.raises(EngineError, match=r"an engine for gpu\.0 cannot be spread"):
        find_resource("gpu.0")


@pytest.mark.parametrize(
    ("images", "batch", "actors"), [(50_003, 16, 7), (5_003, 16, 3), (24, 16, 2), (1, 8, 1), (999, 300, 2)]
)
def test_every_image_is_in_one_chunk_of_whole_batches(images: int, batch: int, actors: int) -> None:
    todo = np.arange(images) * 3
    chunks = split_chunks(todo, batch, actors)
    assert list(chunks) == list(range(len(chunks)))
    np.testing.assert_array_equal(np.concatenate(list(chunks.values())), todo)
    sizes = [len(chunk) for chunk in chunks.values()]
    assert all(size % batch == 0 for size in sizes[:-1]) and max(sizes) <= max(CHUNK, batch)
    assert len(chunks) >= min(TURNS * LANES * actors, -(-images // batch))


def test_nothing_to_do_is_no_chunk() -> None:
    assert split_chunks(np.arange(0), 16, 2) == {}
