"""benchmarks/mutate.py: what a test sees is killed, what none sees survives, and a place is found where it went."""

import json
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MODULE = """\
def is_full(count: int) -> bool:
    \"\"\"Of 3.\"\"\"
    return count >= 3


class Shelf:
    def fill(self, count: int) -> int:
        while count < 3:
            count += 1
        return count
"""
TEST = """\
from seatrial.shelf import Shelf, is_full


def test_three_are_full():
    assert is_full(3) and not is_full(2)


def test_empty_is_not_full():
    assert not is_full(0)


def test_fails_anyway():
    assert not is_full(3)
"""


@pytest.fixture
def mutate(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import mutate

    monkeypatch.setattr(mutate, "FRAMEWORKS", ("pytest",))
    return mutate


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A package of one module, with tests that see part of it."""
    package, tests = tmp_path / "tree" / "src" / "seatrial", tmp_path / "tree" / "tests" / "unit"
    package.mkdir(parents=True)
    tests.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "shelf.py").write_text(MODULE)
    (tests / "test_shelf.py").write_text(TEST)
    return tmp_path / "tree"


def list_places(mutate: ModuleType, tree: Path) -> dict[str, object]:
    import mutation_places

    places = [site.place for site in mutation_places.list_package(tree / "src" / "seatrial")]
    return {f"{place.function} {place.change}": place for place in places}


def test_every_place_in_a_function_is_listed_once(mutate: ModuleType, tree: Path) -> None:
    expected = ["is_full GtE to Gt", "is_full 3 to 4"]
    expected += [f"Shelf.fill {change}" for change in ("Lt to LtE", "3 to 4", "Add to Sub", "1 to 2")]
    assert list(list_places(mutate, tree)) == expected


def test_changes_are_killed_or_survive_or_are_not_found(
    mutate: ModuleType, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = list_places(mutate, tree)
    chosen = [places["is_full GtE to Gt"], places["Shelf.fill 1 to 2"]]
    chosen.append(mutate.Place("shelf.py", "empty", "constant", "7 to 8", 0, "7", "return 7"))
    (tmp_path / "places.json").write_text(json.dumps([mutate.asdict(place) for place in chosen]))
    words = ["--tree", str(tree), "--places", str(tmp_path / "places.json"), "--json", str(tmp_path / "results.json")]
    assert mutate.main(words) == 1
    results = mutate.load_results(tmp_path / "results.json")
    assert [result.outcome for result in results] == ["killed", "survived", "not found"]
    assert results[0].test == "tests/unit/test_shelf.py::test_three_are_full"
    assert (tree / "src" / "seatrial" / "shelf.py").read_text() == MODULE
    assert capsys.readouterr().out.endswith("results: 1 of 2 changes noticed, 0 equivalent, 1 not found\n")


def test_a_loop_without_end_is_noticed(mutate: ModuleType, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "tests" / "unit" / "test_shelf.py").write_text(
        "from seatrial.shelf import Shelf\n\n\ndef test_it_fills():\n    assert Shelf().fill(0) == 3\n"
    )
    monkeypatch.setattr(mutate, "QUICK_S", 0.5)
    (result,) = mutate.try_places(tree, [list_places(mutate, tree)["Shelf.fill Add to Sub"]], 2, "")
    assert (result.outcome, result.test) == ("timeout", "tests/unit/test_shelf.py::test_it_fills")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("shelf.py", "rack.py"),
        ("count", "number"),
        ("is_full", "is_packed"),
        ("def is_full", "LIMIT = 3\n\ndef is_full"),
    ],
)
def test_a_place_is_found_where_it_went(mutate: ModuleType, tree: Path, old: str, new: str) -> None:
    import mutation_places

    place = list_places(mutate, tree)["is_full GtE to Gt"]
    source = tree / "src" / "seatrial" / "shelf.py"
    source.rename(source.with_name(new if new.endswith(".py") else source.name)).write_text(MODULE.replace(old, new))
    match = mutation_places.find_place(place, mutation_places.list_package(source.parent))
    assert match is not None
    moved = (source.parent / match.module).read_text()
    assert mutation_places.make_change(moved, match).count(" > 3") == 1 + moved.count(" > 3")


def test_places_are_chosen_by_chance_and_stored(mutate: ModuleType, tree: Path, tmp_path: Path) -> None:
    stored = tmp_path / "places.json"
    assert mutate.main(["--choose", "2", "--seed", "5", "--tree", str(tree), "--places", str(stored)]) == 0
    assert sorted(place.function for place in mutate.load_places(stored)) == ["Shelf.fill", "is_full"]


def test_the_list_is_of_places_of_this_tree(mutate: ModuleType) -> None:
    """Few may be gone: otherwise a new list has to be chosen."""
    import mutation_places

    sites = mutation_places.list_package(BENCHMARKS.parent / "src" / "seatrial")
    places = mutate.load_places(mutate.PLACES)
    assert len(places) == 60
    assert sum(mutation_places.find_place(place, sites) is None for place in places) <= 12
