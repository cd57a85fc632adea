"""What every engine must keep, ours and other packages': `check_engine`, or `python -m seatrial.testing NAME`."""

import importlib
from typing import TYPE_CHECKING, Any

from seatrial.extras import naming_extras

if TYPE_CHECKING:
    from seatrial.testing.contract import CheckResult, ContractBroken, check_engine
    from seatrial.testing.subject import EngineCase, EngineSubject, make_case

__all__ = ["CheckResult", "ContractBroken", "EngineCase", "EngineSubject", "check_engine", "make_case"]
_SUBJECT = ("EngineCase", "EngineSubject", "make_case")


@naming_extras("the checks build their network with")
def __getattr__(name: str) -> Any:
    """Load a name of `__all__` when it is used: `python -m` runs this file first, also where onnx is not installed."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "subject" if name in _SUBJECT else "contract"
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
