"""`seatrial compat`: the commands of the porting guides, with their own flags."""

from typing import Annotated, Any

import typer

from seatrial.cli.output.progress import print_table
from seatrial.errors import UsageError


def compat(
    context: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND…", help="A guide's command as it is printed there.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Model reference, where the command does not say of which network it is.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="NAME[:PRECISION][@DEVICE]; default: an NPU, else what is installed.")
    ] = None,
    list_tools: Annotated[bool, typer.Option("--list", help="List the commands that it knows.")] = False,
) -> int:
    """Run a command of an Ascend porting guide (docs/compat.md) with ours; options stand in front of it."""
    from seatrial.cli.compat.describe import describe_tools
    from seatrial.cli.compat.run import plan_words, run_plan
    from seatrial.cli.compat.tools import TOOLS

    if list_tools:
        print_table(["command", "form", "here"], list(describe_tools(TOOLS)), left=(0, 1, 2))
        return 0
    if not words:
        raise UsageError("compat needs the command of a guide", "`seatrial compat --list` lists those it knows")
    root: Any = context.find_root().command
    return run_plan(root, *plan_words(words, TOOLS, recipe, engine))
