"""What every engine must keep, ours and other packages': `check_engine`, or `python -m seatrial.testing NAME`."""

from seatrial.testing.contract import CheckResult, ContractBroken, check_engine
from seatrial.testing.subject import EngineCase, EngineSubject, make_case

__all__ = ["CheckResult", "ContractBroken", "EngineCase", "EngineSubject", "check_engine", "make_case"]
