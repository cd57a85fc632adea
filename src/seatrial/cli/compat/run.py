"""Runs a plan: says which commands of ours it is, and runs them in this process."""

import contextlib
import shlex
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from seatrial.cli.compat.call import Call, Plan, Tool, find_tool, read_call
from seatrial.cli.compat.describe import describe_flags
from seatrial.cli.compat.launch import strip_launchers
from seatrial.cli.output.progress import print_lines, print_table, show_progress
from seatrial.errors import UsageError
from seatrial.progress import Update

STAGE = "compat"
HELP = {"-h", "--help"}


def plan_words(
    words: Sequence[str], tools: Sequence[Tool], recipe: str | None = None, engine: str | None = None
) -> tuple[Call, Plan]:
    """What the words of a guide's command are here.

    Raises:
        UsageError: compat does not know the command or one of its flags, or it cannot be done.
    """
    from dataclasses import replace

    command, rest = strip_launchers(words)
    tool = find_tool(command.name, tools)
    if tool.plan is None:
        raise UsageError(f"{command.name} is not possible here", tool.ours)
    if HELP.intersection(rest):
        return Call(tool, command.name, command.parent, rest, (), {}, (), ()), Plan(
            (), finish=lambda: _print_help(tool)
        )
    call = replace(read_call(tool, command, rest), recipe=recipe, engine=engine)
    return call, tool.plan(call)


def _print_help(tool: Tool) -> None:
    print_lines(f"{tool.names[0]} {tool.usage}", f"here: {tool.ours}", "")
    rows = list(describe_flags(tool))
    if rows:
        print_table(["flag", "here"], rows, left=(0, 1))


def run_plan(root: Any, call: Call, plan: Plan) -> int:
    """Run a plan's commands with the command line `root`; the exit code of the first that does not end with 0.

    Raises:
        SeatrialError: of a command.
    """
    with show_progress() as progress:
        for note in (*call.notes, *plan.notes):
            progress(Update(STAGE, note=f"{call.name}: {note}"))
        if plan.commands:
            said = " && ".join(shlex.join(("seatrial", *words)) for words in plan.commands)
            progress(Update(STAGE, note=f"{call.name} is here: {said}"))
    try:
        for line in plan.begin:
            print_lines(line)
        for words in plan.commands:
            with contextlib.redirect_stdout(sys.stderr) if plan.is_quiet else contextlib.nullcontext():
                code = root.main(args=list(words), prog_name="seatrial", standalone_mode=False)
            if isinstance(code, int) and code:
                return code
        if plan.finish is not None:
            plan.finish()
    finally:
        if plan.scratch is not None:
            shutil.rmtree(plan.scratch, ignore_errors=True)
    return 0
