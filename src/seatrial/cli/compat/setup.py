"""Commands of the guides that prepare their own environment, or run several commands: there is nothing to do here."""

from seatrial.cli.compat.call import Tool

NOT_NEEDED = "it prepares the guide's own environment, which nothing here needs: leave it out"
TOOLS = (
    Tool(
        ("source", "pip", "pip3", "pip3.7", "git", "wget", "conda", "chmod", "mkdir", "cd", "setup.py"),
        "",
        NOT_NEEDED,
        None,
    ),
    Tool(("*.sh",), "", "a script of several commands: give each of them to `seatrial compat`", None),
    Tool(
        ("parse.py",),
        "",
        "what it prints is in the files: Top1 and Top5 in result.json, Interface throughputRate in perf_vision_….txt",
        None,
    ),
)
