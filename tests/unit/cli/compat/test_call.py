"""The words of a guide's command, sorted into flags and arguments by its row."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from seatrial.cli import run_cli
from seatrial.cli.compat.call import Call, Flag, Plan, Tool, find_tool, read_call
from seatrial.cli.compat.describe import describe_flags
from seatrial.cli.compat.run import plan_words
from seatrial.cli.compat.tools import TOOLS
from seatrial.errors import UsageError

TOOL = Tool(
    ("tool.py", "tool2.*"),
    "SRC DST",
    "verb",
    lambda call: Plan(()),
    (
        Flag(("output_dirname",), "--output-dirname"),
        Flag(("outfmt",), "--outfmt", choices={"txt": "TXT", "bin": "BIN"}),
        Flag(("loop", "l"), "--loop"),
        Flag(("verbose",), "--display", takes="truth"),
        Flag(("fp16",), takes="none"),
        Flag(("log",), dropped="nothing is logged"),
        Flag(("dump",), takes="truth", refused="take `seatrial diagnose`", unless=("false",)),
        Flag(("axis",), refused="images are on axis 0", unless=("0",)),
    ),
    (0, 2),
)


def read(line: str) -> Call:
    return read_call(TOOL, Path("here/tool.py"), shlex.split(line))


def test_flags_are_read_in_every_spelling() -> None:
    for line in ("--output_dirname=a -l 3", "--output-dirname a --loop=3", "-output_dirname=a --l=3"):
        call = read(line)
        assert call.values == {"output_dirname": "a", "loop": "3"}
        assert call.handed_on == ("--output-dirname", "a", "--loop", "3")


def test_the_beginning_of_a_flag_is_the_flag_where_the_tool_reads_it_so() -> None:
    abbreviating = replace(TOOL, abbreviates=True)
    assert read_call(abbreviating, Path("tool.py"), ("--output_dir", "a")).values == {"output_dirname": "a"}
    for tool, flag in ((abbreviating, "--o"), (abbreviating, "--"), (TOOL, "--output_dir")):
        with pytest.raises(UsageError, match="there is no flag"):
            read_call(tool, Path("tool.py"), (flag, "a"))


def test_arguments_may_stand_between_flags() -> None:
    call = read("src --loop 2 dst --fp16")
    assert call.arguments == ("src", "dst")
    assert (call.is_true("fp16"), call.is_true("verbose")) == (True, False)
    assert call.folder == Path("here")


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("--verbose", ("--display",)),
        ("--verbose True src dst", ("--display",)),
        ("--verbose=1", ("--display",)),
        ("--verbose no", ()),
        ("--verbose src dst", ("--display",)),
        ("--outfmt txt", ("--outfmt", "TXT")),
    ],
)
def test_what_is_handed_on(line: str, ours: tuple[str, ...]) -> None:
    assert read(line).handed_on == ours


def test_what_is_dropped_is_said() -> None:
    call = read("--log=debug --dump false --axis 0")
    assert call.notes == ("--log=debug is dropped: nothing is logged", "--dump is dropped", "--axis is dropped")
    assert call.handed_on == ()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--output_dirnam a", "there is no flag --output_dirnam; did you mean '--output_dirname'?"),
        ("--loop", "--loop needs a value; give --loop VALUE"),
        ("--loop 1 -l 2", "-l is given twice"),
        ("--fp16=1", "--fp16 takes no value"),
        ("--verbose=maybe", "--verbose=maybe is neither true nor false"),
        ("--outfmt jpg", "--outfmt jpg is not possible here; possible: txt, bin"),
        ("--dump true", "--dump is not possible here; take `seatrial diagnose`"),
        ("--axis=1", "--axis=1 is not possible here; images are on axis 0"),
        ("src", r"takes SRC DST, not 1 words \(src\)"),
    ],
)
def test_what_cannot_be_read_is_named(line: str, words: str) -> None:
    with pytest.raises(UsageError, match=f"^tool.py.*{words}"):
        read(line)


def test_the_first_row_whose_pattern_fits_counts() -> None:
    other = Tool(("*.py",), "", "other", None)
    assert find_tool("Tool.py", (TOOL, other)) is TOOL
    assert find_tool("tool2.x86_64", (TOOL, other)) is TOOL
    assert find_tool("x.py", (TOOL, other)) is other
    with pytest.raises(UsageError, match=r"does not know the command 'tol.py'; did you mean 'tool.py'\?"):
        find_tool("tol.py", (TOOL,))
    with pytest.raises(UsageError, match="--list"):
        find_tool("zzz", (TOOL,))


def test_help_behind_a_command_is_that_of_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["compat", "python3", "sknet_preprocess.py", "--help"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("sknet_preprocess.py -s SRC -d DST\nhere: preprocess\n")
    assert "the folder of images" in shown.out and shown.err == ""
    assert run_cli(["compat", "--list"]) == 0
    assert "benchmark.x86_64, benchmark.aarch64" in capsys.readouterr().out


def test_quiet_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prep").mkdir()
    Path("prep/a.bin").touch()
    assert run_cli(["--quiet", "compat", "get_info.py", "bin", "prep", "x.info", "1", "1"]) == 0
    assert capsys.readouterr() == ("x.info: 1 files\n", "")


def test_without_a_command_the_way_to_the_list_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["compat"]) == 2
    assert run_cli(["compat", "--recipe", "resnet50"]) == 2
    assert capsys.readouterr().err.count("`seatrial compat --list` lists those it knows") == 2


def test_a_command_that_fails_ends_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["compat", "get_info.py", "bin", "gone", "x.info", "1", "1"]) == 6
    assert "seatrial: image folder gone is not there" in capsys.readouterr().err


def test_rows_are_told_apart() -> None:
    """No name is in two rows, and no flag twice in a row."""
    names = [name for tool in TOOLS for name in tool.names]
    assert len(names) == len(set(names)) > 25
    for tool in TOOLS:
        flags = [name for flag in tool.flags for name in flag.names]
        assert len(flags) == len(set(flags)), tool.names
        assert all(words for row in describe_flags(tool) for words in row), tool.names
        assert find_tool(tool.names[0].replace("*", "x"), TOOLS) is tool


@pytest.mark.parametrize(
    "line", ["source set_env.sh", "pip3 install x", "bash test/pth2om.sh", "python3 parse.py a.json"]
)
def test_what_needs_no_command_is_refused_with_the_reason(line: str) -> None:
    with pytest.raises(UsageError, match=r"is not possible here; .+"):
        plan_words(shlex.split(line), TOOLS)
