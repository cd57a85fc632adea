"""Rows of the tables in words, for `--list`, for `--help` behind a command, and for docs/compat.md."""

from collections.abc import Iterator, Sequence

from seatrial.cli.compat.call import Flag, Tool


def describe_tools(tools: Sequence[Tool]) -> Iterator[tuple[str, str, str]]:
    """Names, form and what it is here, of each row."""
    for tool in tools:
        yield ", ".join(tool.names), tool.usage, tool.ours if tool.plan else f"refused: {tool.ours}"


def describe_flags(tool: Tool) -> Iterator[tuple[str, str]]:
    """Each flag of a row with its other names, and what becomes of it."""
    for flag in tool.flags:
        yield ", ".join(f"--{name}" if len(name) > 1 else f"-{name}" for name in flag.names), _describe(flag)


def _describe(flag: Flag) -> str:
    if flag.refused:
        but = f", except {flag.unless[0]}" if flag.unless else ""
        return f"refused{but}: {flag.refused}"
    if flag.dropped:
        return f"dropped: {flag.dropped}"
    if flag.ours:
        values = ", ".join(f"{theirs} is {ours}" for theirs, ours in (flag.choices or {}).items() if theirs != ours)
        return f"`{flag.ours}`" + (f" ({values})" if values else "")
    return flag.means
