"""No verb writes over what it reads."""

from pathlib import Path

import pytest
import typer
from typer.main import get_command

from onnx_graphs import write_linear
from seatrial.cli import run_cli
from seatrial.cli.check_output import guard, sweep_output
from seatrial.errors import StorageError
from seatrial.store.unfinished import SUFFIX


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_linear(tmp_path / "net.onnx")
    for name in ("w.pth", "nets.py", "card.toml", "labels.txt"):
        (tmp_path / name).write_text("precious")
    (tmp_path / "images" / "3").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("export card.toml --checkpoint w.pth --output w.pth", "w.pth would be written over w.pth, which is read"),
        ("export nets.py:make --like card.toml --checkpoint w.pth --output nets.py", "over nets.py, which is read"),
        ("export card.toml --checkpoint w.pth --output ./card.toml", "over card.toml, which is read"),
        ("simplify net.onnx net.onnx", "over net.onnx, which is read"),
        ("simplify net.onnx labels.txt", "labels.txt is there already, and by its name it is no .onnx file"),
        ("run net.onnx --images images --labels labels.txt --output images", "images lies in images, a folder of"),
        ("run net.onnx --images images --labels labels.txt --output images/3/out", "lies in images, a folder"),
        ("report run --format csv --output labels.txt", "by its name it is no .csv file; choose another output"),
    ],
)
def test_what_is_read_stays_as_it_is(words: str, said: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert run_cli(words.split()) == 2
    assert said in capsys.readouterr().err
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("bench engine --output b.json --duration inf", "--duration inf is no finite number; give one"),
        ("bench engine --output b.json --duration 1e999", "--duration inf is no finite number; give one"),
        ("run net.onnx --images images --output r --batch-size " + "9" * 5000, "9… is not a list of whole numbers"),
        ("run net.onnx --images images --output r --batch-size ٣", "--batch-size ٣ is not a list of whole numbers"),
        ("export card.toml --output kaf\udce9/net.onnx", "kaf\\udce9/net.onnx is no UTF-8, and what runs networks"),
        ("preprocess card.toml images kaf\udce9", "kaf\\udce9 is no UTF-8, and what runs networks"),
    ],
)
def test_values_that_nothing_bears_are_wrong_usage(
    words: str, said: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(words.split()) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1


def test_what_a_killed_command_left_goes_where_the_work_is_done_too(place: Path) -> None:
    kept = place / "kept"
    for folder in (place, kept, kept / "engines"):
        left = folder / f".model.onnx.killed{SUFFIX}"
        left.mkdir(parents=True)
        (left / "in-use.lock").touch()
        (left / "model.onnx").write_text("half")
    sweep_output({"output": kept})
    assert not list(place.rglob(f"*{SUFFIX}"))
    sweep_output({"output": place / "new" / "model.onnx"})
    assert not (place / "new").exists()


@pytest.mark.parametrize("kept", [False, True])
def test_a_verb_that_fails_leaves_no_empty_folder(kept: bool, place: Path) -> None:
    made = typer.Typer()

    @made.command()
    def fail(output: Path) -> None:
        output.mkdir(parents=True)
        if kept:
            (output.parent / "found").touch()
        raise StorageError("the engine is missing", "install it")

    (place / "there").mkdir()
    with pytest.raises(StorageError):
        guard(get_command(made))(args=["there/new/out"], standalone_mode=False)
    assert [str(path.relative_to(place)) for path in sorted((place / "there").rglob("*"))] == (
        ["there/new", "there/new/found"] if kept else []
    )
