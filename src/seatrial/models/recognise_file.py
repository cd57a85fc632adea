"""Whose weights a checkpoint has, judged by the names and shapes in it."""

import difflib
import os
from pathlib import Path

from seatrial.errors import UsageError
from seatrial.models.build import sketch_network
from seatrial.models.reading import AS_IT_IS
from seatrial.recipes.load import list_cards, load_recipe


def list_fitting_cards(path: Path) -> list[str]:
    """The cards of ours whose network, with its own number of classes, a checkpoint fits.

    Raises:
        UsageError: there is no such file.
        RefusedFile: it is corrupt or unsafe, or has no weights.
        EngineError: torch or timm is not installed.
    """
    if not path.is_file():
        names = os.listdir(path.parent) if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, names, n=1)
        fix = f"did you mean {path.with_name(near[0])}?" if near else "check its path"
        raise UsageError(f"there is no checkpoint {path}", fix)
    sketches = {name: sketch_network(load_recipe(name).network).state_dict() for name in list_cards()}
    from seatrial.models.account import find_difference
    from seatrial.models.fit_names import fit_names
    from seatrial.models.layouts import find_state
    from seatrial.models.read_file import read_content

    state, _ = find_state(read_content(path), path)
    return [
        name
        for name, wanted in sketches.items()
        if not find_difference(fit_names(state, wanted, path, AS_IT_IS)[0], wanted)
    ]
