"""Engines of other packages: found by their entry points, and one that is broken harms no other."""

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint

import pytest

from fake_engine import FakeEngine
from seatrial import engines
from seatrial.engines import get_engine, list_engines
from seatrial.errors import EngineError, UsageError
from seatrial.workflow.compile import probe_engines

Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Let packages have the entry points NAME=VALUE."""

    def put(**places: str) -> None:
        points = [EntryPoint(name, value, engines.GROUP) for name, value in places.items()]
        monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points if group == engines.GROUP else [])
        engines.find_plugins.cache_clear()

    yield put
    monkeypatch.undo()
    engines.find_plugins.cache_clear()


def test_an_engine_of_another_package_is_one_like_ours(install: Install) -> None:
    install(fake="fake_engine:FakeEngine")
    assert list_engines()[-1] == "fake" and isinstance(get_engine("fake"), FakeEngine)
    assert {has.engine: has.version for has in probe_engines()}["fake"] == "1.2"
    with pytest.raises(UsageError, match="there is no engine 'fak'; did you mean 'fake'"):
        get_engine("fak")


def test_a_name_of_ours_is_refused_and_the_others_stay(install: Install) -> None:
    install(torch="fake_engine:FakeEngine")
    with pytest.raises(UsageError, match="seatrial and an unknown package each have an engine 'torch'; uninstall one"):
        get_engine("torch")
    found = {has.engine: has for has in probe_engines()}
    assert "each have an engine 'torch'" in str(found["torch"].missing) and found["onnxruntime"].missing is None


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("no_such_module:Engine", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("fake_engine:NoSuchEngine", "AttributeError"),
        ("fake_engine:make_recipe.x", "AttributeError"),
    ],
)
def test_one_that_cannot_be_imported_is_listed_with_the_reason(install: Install, place: str, words: str) -> None:
    install(broken=place)
    with pytest.raises(
        EngineError, match=f"engine 'broken' of an unknown package cannot be loaded \\({words}"
    ) as caught:
        get_engine("broken")
    assert place in str(caught.value.fix)
    found = {has.engine: has for has in probe_engines()}
    assert words in str(found["broken"].missing) and found["onnxruntime"].missing is None


def test_one_whose_probe_raises_is_listed_with_the_reason(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: FakeEngine) -> None:
        raise OSError("libfake.so is not there")

    install(fake="fake_engine:FakeEngine")
    monkeypatch.setattr(FakeEngine, "probe", fail)
    found = {has.engine: has for has in probe_engines()}
    assert "OSError: libfake.so is not there" in str(found["fake"].missing)
