"""Names in a checkpoint that become the network's own once it is known which those are.

A training framework puts the network among other things: `net.`, Lightning's `model.` beside `criterion.` and metrics,
`ema_model.` beside `model.`. A head that was `Sequential(Dropout, Linear)` is `fc.1.weight` where `fc.weight` is
wanted. Nothing is dropped or renamed in silence.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from seatrial.errors import RefusedFile
from seatrial.models.account import COUNTER
from seatrial.models.layouts import AVERAGED
from seatrial.models.reading import CheckpointReading

State = Mapping[str, Tensor]


def fit_names(state: State, wanted: State, path: Path, reading: CheckpointReading) -> tuple[State, list[str]]:
    """Weights under the names of `wanted` as far as a prefix or the place of the head explains them, with words for it.

    Raises:
        RefusedFile: several parts of the file fit the network, or the prefix that was given begins no name.
    """
    words: list[str] = []
    prefix = reading.prefix
    begun = [key for key in state if prefix and key.startswith(prefix)]
    if begun and all(key.startswith(f"{prefix}.") for key in begun):
        prefix = f"{prefix}."  # as names go on after a module's
    if prefix is not None and not begun:
        raise RefusedFile(f"{path}: no name begins with --strip-prefix {prefix}", f"they begin {_show_starts(state)}")
    if prefix is None:
        prefix = _choose_prefix(state, wanted, path, reading)
    if prefix:
        left = Counter(key.partition(".")[0] for key in state if not key.startswith(prefix))
        state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        words.append(prefix)
        words += [f"left out {count} of {part}" for part, count in sorted(left.items())]
    renamed = _move_head(state, wanted)
    if renamed is not None:
        old, new, state = renamed
        words.append(f"head {old} taken for {new}")
    return state, words


def _choose_prefix(state: State, wanted: State, path: Path, reading: CheckpointReading) -> str:
    """The prefix under which the whole network is; empty where it is there without one, or nowhere."""
    fitting = [prefix for prefix in _list_prefixes(state, wanted) if _fits_under(prefix, state, wanted)]
    if not fitting or "" in fitting:
        return ""
    averaged = [prefix for prefix in fitting if AVERAGED.search(prefix)]
    raw = [prefix for prefix in fitting if prefix not in averaged]
    chosen = raw if reading.weights == "raw" else averaged or raw
    if len(chosen) != 1:
        names = " and ".join(sorted(chosen or fitting))
        raise RefusedFile(f"{path} has several sets of weights that fit: {names}", "choose one with --strip-prefix")
    return chosen[0]


def _list_prefixes(state: State, wanted: State) -> Iterator[str]:
    """Each prefix that some key of the file has before the network's first weight."""
    first = next(key for key in wanted if not key.endswith(COUNTER))
    for key in state:
        if key == first or key.endswith(f".{first}"):
            yield key.removesuffix(first)


def _fits_under(prefix: str, state: State, wanted: State) -> bool:
    inner = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return all(key in inner for key in wanted if not key.endswith(COUNTER)) or _move_head(inner, wanted) is not None


def _move_head(state: State, wanted: State) -> tuple[str, str, State] | None:
    """The one layer that the network calls H and the file H.N, or the other way round: both names, and the weights."""
    missing = [key for key in wanted if key not in state and not key.endswith(COUNTER)]
    extra = [key for key in state if key not in wanted]
    new, old = ({key.rpartition(".")[0] for key in keys} for keys in (missing, extra))
    if len(new) != 1 or len(old) != 1:
        return None
    (head,), (found,) = new, old
    ends = {key.rpartition(".")[2] for key in missing}
    in_sequence = re.fullmatch(r"(.+)\.\d+", found) or re.fullmatch(r"(.+)\.\d+", head)
    if in_sequence is None or in_sequence[1] not in (head, found) or {k.rpartition(".")[2] for k in extra} != ends:
        return None
    moved = {
        f"{head}.{key.rpartition('.')[2]}" if key.rpartition(".")[0] == found else key: value
        for key, value in state.items()
    }
    return found, head, moved


def _show_starts(state: State) -> str:
    return ", ".join(sorted({key.partition(".")[0] + "." for key in state})[:8])
