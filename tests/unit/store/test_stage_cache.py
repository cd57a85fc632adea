"""A stage's result is found by the key of its inputs."""

from dataclasses import dataclass

import pytest

from seatrial.errors import DataError, RefusedFile, UsageError
from seatrial.progress import Update
from seatrial.store.files import hash_value
from seatrial.store.stage_cache import CachedStage, watching

STAGE = CachedStage("bake", "bake/3", "baked")


@dataclass
class Bread:
    key: str


def refuse(error: Exception) -> Bread:
    raise error


def test_the_key_depends_on_version_and_inputs() -> None:
    key = STAGE.key({"flour": 500})
    # As it was before stages had a class of their own, so that what is stored is still found.
    assert key == hash_value({"stage": "bake/3", "flour": 500})
    assert len({key, STAGE.key({"flour": 501}), CachedStage("bake", "bake/4", "baked").key({"flour": 500})}) == 3


def test_a_result_is_found_under_its_key_alone() -> None:
    updates: list[Update] = []
    found = STAGE.find("k", lambda: Bread("k"), lambda bread: f"fresh {bread.key}", updates.append)
    assert found == "fresh k" and not updates
    assert STAGE.find("k", lambda: Bread("other"), refuse, updates.append) is None
    assert STAGE.find("k", lambda: Bread("k"), lambda bread: None, updates.append) is None
    assert not updates
    assert STAGE.already("rye") == Update("bake", note="already baked: rye")


@pytest.mark.parametrize("when", ["load", "check"])
def test_a_damaged_result_is_reported_and_none(when: str) -> None:
    updates: list[Update] = []
    error = RefusedFile("rye is burnt", "bake it again")
    load = (lambda: refuse(error)) if when == "load" else (lambda: Bread("k"))
    assert STAGE.find("k", load, lambda _: refuse(error), updates.append) is None
    assert [update.note for update in updates] == ["rye is burnt: it is baked again"]


@pytest.mark.parametrize("error", [UsageError("there is none"), DataError("another version")])
def test_a_result_that_cannot_be_read_is_none(error: Exception) -> None:
    updates: list[Update] = []
    assert STAGE.find("k", lambda: refuse(error), lambda bread: bread, updates.append) is None
    assert not updates


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        STAGE.find("k", lambda: refuse(ZeroDivisionError()), lambda bread: bread, lambda update: None)


def test_whoever_looks_on_knows_what_was_found() -> None:
    seen: list[tuple[str, bool]] = []
    with watching(lambda stage, found: seen.append((stage, found))):
        for key in ("k", "other"):
            STAGE.find("k", lambda key=key: Bread(key), lambda bread: bread, lambda update: None)  # type: ignore[misc]
    STAGE.find("k", lambda: Bread("k"), lambda bread: bread, lambda update: None)
    assert seen == [("bake", True), ("bake", False)]


def test_whoever_looks_on_may_end_the_stage() -> None:
    def refuse_work(stage: str, found: bool) -> None:
        raise UsageError(stage)

    with pytest.raises(UsageError), watching(refuse_work):
        STAGE.find("k", lambda: Bread("k"), lambda bread: bread, lambda update: None)
