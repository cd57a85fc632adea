"""How long the idle threads of torch's operators look for work before they sleep.

GNU's OpenMP, which torch's wheels for Linux carry, has them spin for several milliseconds after each operator. On a CPU
they keep a core from the images of the next step: `benchmarks/train.py` measures what that costs.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

SPINS = "GOMP_SPINCOUNT"
BRIEF = 10_000
"""A tenth to half of a millisecond: longer than the gap between two operators, far shorter than decoding a batch."""
OWN = (SPINS, "OMP_WAIT_POLICY")
"""Variables by which a user sets it: they stay as they are."""


@contextmanager
def brief_spinning() -> Iterator[None]:
    """Limit it for torch where the block loads it, and for processes that the block starts; others keep their own.

    The library reads the variable when it is loaded, so a process that has torch already goes on as before.
    """
    if any(name in os.environ for name in OWN):
        yield
        return
    os.environ[SPINS] = str(BRIEF)
    try:
        yield
    finally:
        os.environ.pop(SPINS, None)
