"""What stands in front of a command in the guides is swallowed."""

import shlex
from pathlib import Path

import pytest

from seatrial.cli.compat.launch import strip_launchers
from seatrial.errors import UsageError


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("python3 sknet_preprocess.py -s a", "sknet_preprocess.py"),
        ("python3.7 -u ../sknet_preprocess.py -s a", "../sknet_preprocess.py"),
        ("python3 -m ais_bench -s a", "ais_bench"),
        ("/usr/bin/python3.7.5 x.py -s a", "x.py"),
        ("bash test/pth2om.sh -s a", "test/pth2om.sh"),
        ("./benchmark.x86_64 -s a", "benchmark.x86_64"),
        ("'./benchmark.${arch}' -s a", "benchmark"),
        ("'/benchmark.$arch' -s a", "/benchmark"),
        ("env CUDA_VISIBLE_DEVICES=0 trtexec -s a", "trtexec"),
        ("atc -s a", "atc"),
    ],
)
def test_the_command_is_what_is_started(line: str, command: str) -> None:
    assert strip_launchers(shlex.split(line)) == (Path(command), ("-s", "a"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("python3", "compat needs the command of a guide"),
        ("python3 -c 'print(1)'", "compat runs no code that is given after -c"),
        ("'${tool}' --x", r"does not know the command '\$\{tool\}'"),
    ],
)
def test_what_is_no_command_is_refused(line: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        strip_launchers(shlex.split(line))
