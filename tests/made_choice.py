"""A choice with made-up figures."""

from run_folder import MACHINE
from seatrial.errors import ExitCode
from seatrial.store.choice import CandidateResult, Choice, ChoiceTimes, SettingResult, SettingState


def make_candidate(name: str, outcome: str | None = "PASS", size: int | None = 2**20) -> CandidateResult:
    facts = {"name": name, "engine": name, "precision": "fp32", "device": "cpu", "graph": "model.onnx"}
    return CandidateResult.model_validate({**facts, "outcome": outcome, "size_bytes": size, "reason": "it fell"})


def make_setting(name: str, state: SettingState, rate: float, batch_size: int = 1, **facts: float) -> SettingResult:
    setting = SettingResult(
        candidate=name, batch_size=batch_size, streams=2, threads=None, state=state, images_per_s=rate, rounds=3
    )
    return setting.model_copy(update=facts)


def make_choice(
    settings: tuple[SettingResult, ...],
    candidates: tuple[CandidateResult, ...],
    goal: str = "throughput",
    code: ExitCode = ExitCode.PASS,
) -> Choice:
    return Choice(
        key="k", run="r", goal=goal, max_drop_pp=1, exit_code=code, candidates=candidates, settings=settings,
        chosen=next((each for each in settings if each.state == "chosen"), None), rounds=6, error_rate=0.05,
        times=ChoiceTimes(), environment=MACHINE, command=("seatrial compile model.onnx",), doubts=("it was hot",),
    )  # fmt: skip


CANDIDATES = (make_candidate("fast"), make_candidate("lossy", "FAIL"), make_candidate("slow", None))
SETTINGS = (
    make_setting("fast", "slower", 900.0),
    make_setting("fast", "chosen", 1000.0, 8, low=980.0, high=1020.0),
    make_setting("fast", "as fast", 995.0, 16, times_low=0.98, times_high=1.04),
    make_setting("lossy", "accuracy", 2000.0).model_copy(update={"reason": "it fell"}),
    make_setting("slow", "slower", 300.0).model_copy(update={"reason": "at least 2 times"}),
)
