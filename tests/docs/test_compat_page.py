"""The page on `compat`: the guide that it retells is followed, and its tables are those of the rows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from guide_replay import GUIDES, NAMES, lay_out, prove_little
from pages import read_commands, read_page
from seatrial.cli import run_cli
from seatrial.cli.compat.describe import describe_flags, describe_tools
from seatrial.cli.compat.tools import TOOLS

PAGE = read_page("docs/compat.md")
COMMANDS = read_commands("docs/compat.md")


@pytest.fixture(scope="module", autouse=True)
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder in which the page's names exist."""
    folder = tmp_path_factory.mktemp("page")
    lay_out(folder, GUIDES["spnasnet_100"], "model_best.pth.tar")
    (folder / "imagenet" / "val_label.txt").write_text("".join(f"{name}.JPEG {i}\n" for i, name in enumerate(NAMES)))
    with pytest.MonkeyPatch.context() as patch, prove_little():
        patch.chdir(folder)
        yield


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words)[:60])
def test_a_command_of_the_page_runs(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    # Measuring as briefly as it may.
    more = ["--duration=0", "--iterations=2"] if "trtexec" in words else []
    assert run_cli([*words, *more]) == 0
    if "get_info.py" in words:
        assert f"{capsys.readouterr().err.splitlines()[0]}\n```" in PAGE


def test_the_guide_ends_with_its_files() -> None:
    assert len(COMMANDS) == 10
    assert '{"key": "Number of images", "value": "3"}' in Path("result.json").read_text()
    assert sorted(path.name for path in Path("result").iterdir()) == [
        "PureInfer_perf_of_spnasnet_100_bs1_in_device_0.txt",
        "dumpOutput_device0",
        "perf_vision_batchsize_1_device_0.txt",
    ]


def write_tables() -> str:
    """The page from its list of commands on; rows of the same flags share a table."""
    lines = ["| command | form | here |", "|---|---|---|"]
    for names, form, here in describe_tools(TOOLS):
        lines.append(f"| `{names.replace(', ', '`, `')}` | {f'`{form}`' if form else '–'} | {here} |")
    by_flags: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for tool in TOOLS:
        by_flags.setdefault(tuple(describe_flags(tool)), []).append(tool.names[0])
    for flags, tools in by_flags.items():
        if len(flags) > 2:
            lines += ["", f"### Flags of {', '.join(tools)}", "", "| flag | here |", "|---|---|"]
            lines += [f"| `{names.replace(', ', '`, `')}` | {here} |" for names, here in flags]
    return "\n".join(lines)


def test_the_tables_are_those_of_the_rows() -> None:
    assert PAGE.partition("## The commands\n\n")[2].strip() == write_tables()
