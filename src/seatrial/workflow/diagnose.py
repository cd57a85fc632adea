"""`seatrial diagnose`: which stage of a run lost the accuracy?

Each stage is compared with the one before it and with torch, by the distance of their logits first and by flips
second: on easy images even swapped colours change few first classes.
"""

from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from seatrial.data.images import hash_listing
from seatrial.diagnosis.foreign_preprocessing import Network, make_bins_stage
from seatrial.diagnosis.integrity import find_changes
from seatrial.diagnosis.label_order import doubt_accuracy, judge_labels
from seatrial.diagnosis.measured_noise import Floors
from seatrial.diagnosis.sample import DiagnoseSpec, Sample, read_sample
from seatrial.diagnosis.stages import Stage, list_stages, predict_all
from seatrial.errors import EngineError, ParityError, SeatrialError, StorageError
from seatrial.evaluation.compare_logits import compare_logits
from seatrial.evaluation.parity import check_outputs
from seatrial.machine.environment import read_environment
from seatrial.models.checkpoint import load_network
from seatrial.progress import Progress, Update, silent
from seatrial.store.diagnosis import Diagnosis, StageDiagnosis, StageVerdict
from seatrial.store.files import locked

__all__ = ["DiagnoseSpec", "diagnose_run"]
TORCH = "torch's network"
"""What a stage without a parent is compared with."""


def diagnose_run(spec: DiagnoseSpec, progress: Progress = silent) -> Diagnosis:
    """Run every stage on the same images, and store which of them first leaves its noise floor.

    Raises:
        UsageError: the folder is no run, or its images have moved.
        DataError: images, labels or bins are missing or contradictory.
        RefusedFile: the run's weights are not those that were stored.
        EngineError: torch is not installed.
        ParityError: torch's own logits cannot be a classifier's.
    """
    sample = read_sample(spec, progress)
    with locked(spec.run):
        module = load_network(sample.recipe.network, spec.run / "checkpoint.safetensors")
        from seatrial.export.export_graph import run_network

        network: Network = partial(run_network, module)
        reference = _run_torch(sample, network, progress)
        labels, floors = judge_labels(sample, reference), Floors(sample, module, reference)
        chain = _Chain(sample, reference, progress)
        stages = [] if sample.bins is None else [make_bins_stage(sample, sample.bins, network, reference)]
        judged = (labels, *(chain.judge(stage) for stage in (*stages, *list_stages(sample, module, floors))))
        doubt = doubt_accuracy(sample, labels)
        findings = find_changes(sample) + (() if doubt is None else (doubt,))
        diagnosis = _conclude(sample, judged, findings)
        diagnosis.save(spec.run / "diagnosis.json")
    return diagnosis


def _run_torch(sample: Sample, network: Network, progress: Progress) -> NDArray[np.float32]:
    logits = predict_all(sample, lambda part: network(sample.see(part)), TORCH, progress)
    try:
        check_outputs(sample.pixels, logits, sample.names)
    except ParityError as error:
        raise ParityError(f"torch with the run's own weights: {error.problem}", "check the checkpoint") from None
    return logits


@dataclass(slots=True)
class _Chain:
    """Stages judged one after the other."""

    sample: Sample
    reference: NDArray[np.float32]
    progress: Progress
    logits: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """Of the stages that could be run."""
    parents: dict[str, str | None] = field(default_factory=dict)
    sound: set[str] = field(default_factory=set)
    """Stages within their floor."""

    def judge(self, stage: Stage) -> StageDiagnosis:
        """Run a stage, and compare it with the one before it, or with torch where that one is wrong already."""
        self.parents[stage.name] = stage.parent
        try:
            logits = self._run(stage)
        except (EngineError, StorageError) as error:
            diagnosed = self._describe(stage, "not run", str(error))
        except SeatrialError as error:
            diagnosed = self._describe(stage, "leaves", str(error))
        else:
            self.logits[stage.name] = logits
            diagnosed = self._compare(stage, logits)
        shown = "" if diagnosed.distance is None else f"relative error {diagnosed.distance.relative_error:.1e}, "
        self.progress(Update("diagnose", note=f"{stage.name}: {shown}{diagnosed.verdict}"))
        return diagnosed

    def _run(self, stage: Stage) -> NDArray[np.float32]:
        with stage.open() as predict:
            logits = predict_all(self.sample, predict, stage.name, self.progress)
        classes = self.reference.shape[1]
        if logits.shape[1] != classes:
            raise ParityError(f"has {logits.shape[1]} classes, torch {classes}")
        check_outputs(self.sample.pixels, logits, self.sample.names, coarse=True)
        return logits

    def _compare(self, stage: Stage, logits: NDArray[np.float32]) -> StageDiagnosis:
        before = self._find_before(stage.parent)
        known = self.reference if before is None else self.logits[before]
        floor = stage.floor if before == stage.parent else stage.whole
        names = self.sample.names
        step = compare_logits(known, logits, names, floor.relative_error)
        whole = compare_logits(self.reference, logits, names, stage.whole.relative_error)
        # A wrong stage before it proves nothing about this one; torch does.
        is_led = before is None or before in self.sound
        judged = step if is_led else whole
        verdict: StageVerdict = "within"
        if judged.excess is None:
            self.sound.add(stage.name)
        else:
            verdict = "inherits" if not is_led and step.excess is None else "leaves"
        reason = f"no further off than {before}" if verdict == "inherits" else judged.excess or ""
        return self._describe(stage, verdict, reason).model_copy(
            update={
                "against": before if before is not None and is_led else TORCH,
                "top1": self.sample.measure_top1(logits),
                "distance": judged.distance,
                "from_torch": whole.distance,
                "floor": judged.floor,
                "floor_reason": floor.reason if is_led else stage.whole.reason,
                "chance_flips": judged.chance_flips,
            }
        )

    def _find_before(self, name: str | None) -> str | None:
        """The nearest stage before that could be run; None is torch."""
        while name is not None and name not in self.logits:
            name = self.parents[name]
        return name

    def _describe(self, stage: Stage, verdict: StageVerdict, problem: str) -> StageDiagnosis:
        leaves = verdict == "leaves"
        reasons = [problem, stage.remark, _explain(stage) if leaves and stage.name in self.logits else ""]
        return StageDiagnosis(
            stage=stage.name,
            images=len(self.sample.images),
            verdict=verdict,
            reason="; ".join(part for part in reasons if part),
            advice=stage.advice if leaves else "",
        )


def _explain(stage: Stage) -> str:
    try:
        return stage.explain()
    except SeatrialError as error:
        return f"the difference cannot be explained ({error.problem})"


def _conclude(sample: Sample, stages: tuple[StageDiagnosis, ...], findings: tuple[str, ...]) -> Diagnosis:
    first = next((stage for stage in stages if stage.verdict == "leaves"), None)
    missing = [stage.stage for stage in stages if stage.verdict == "not run"]
    if first is not None:
        why = "; ".join(part for part in (first.reason, first.advice) if part)
        conclusion = f"first stage that leaves the noise floor: {first.stage} - {why}"
    elif missing:
        conclusion = f"no stage that could be run leaves the noise floor; not run: {', '.join(missing)}"
    else:
        conclusion = "no stage leaves the noise floor"
    return Diagnosis(
        recipe=sample.recipe.name,
        images=len(sample.images),
        images_hash=hash_listing(sample.images),
        stages=stages,
        first=None if first is None else first.stage,
        conclusion=conclusion,
        findings=findings,
        environment=read_environment(),
    )
