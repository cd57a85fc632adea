"""The five guides' commands, and what they need to be followed: images, weights, little proof of graphs."""

import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from golden_weights import fill_golden_weights
from seatrial.cli import run_cli
from seatrial.export import export_graph, simplify
from seatrial.models.build import sketch_network
from seatrial.recipes import load_recipe
from seatrial.workflow import compile, export, infer

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
GUIDES = tomllib.loads((HERE / "guides" / "commands.toml").read_text(encoding="utf-8"))
NAMES = tuple(f"ILSVRC2012_val_{number:08d}" for number in (1, 2, 3))
"""Images whose pixels the guides' own scripts gave."""


@contextmanager
def prove_little() -> Iterator[None]:
    """What the guides do not do takes most of the time: graphs are compared with those before on 64 images, here 1."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "PARITY_IMAGES", 1)
        patch.setattr(compile, "PARITY_IMAGES", 1)
        patch.setattr(simplify, "CHECK_IMAGES", 1)
        patch.setattr(export_graph, "_check_alone", lambda *_: None)
        for check in ("check_first_batch", "check_self_test"):
            patch.setattr(infer, check, lambda *_: None)
        yield


def lay_out(folder: Path, guide: Mapping[str, Any], weights: str) -> torch.nn.Module:
    """Images and weights of a rule as a guide has them; the network with these weights."""
    (folder / "imagenet" / "val").mkdir(parents=True)
    for name in NAMES:
        shutil.copy(GOLDEN / "preprocess" / "images" / f"{name}.JPEG", folder / "imagenet" / "val")
    if "aipp" in guide:
        shutil.copy(GOLDEN / "aipp" / guide["aipp"], folder)
    # Without a draw of weights that are replaced at once.
    network = sketch_network(load_recipe(guide["network"]).network).to_empty(device="cpu")
    fill_golden_weights(network, "guide")
    state = dict(network.state_dict())
    if guide["keys"] == "linear squeeze":
        state = {
            re.sub(r"\.se\.(fc\d)", r".\1", key): value.flatten(1) if re.search(r"\.se\.fc\d\.weight", key) else value
            for key, value in state.items()
        }
    elif guide["keys"]:
        state = {f"{guide['keys']}{key}": value for key, value in state.items()}
    torch.save({"state_dict": state, "epoch": 90} if guide["keys"] == "module." else state, folder / weights)
    return network.eval()


def follow(commands: Sequence[str], **values: object) -> None:
    """Run a guide's lines as they are printed, variables filled in, with the two words in front."""
    for line in commands:
        assert run_cli(["compat", *shlex.split(fill_in(line, **values))]) == 0, line


def fill_in(line: str, **values: object) -> str:
    """A command with its variables filled in."""
    for name, value in values.items():
        line = line.replace(f"${{{name}}}", str(value))
    return line
