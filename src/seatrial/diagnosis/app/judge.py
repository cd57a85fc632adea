"""From what explains a program's predictions to the judgement that its user reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seatrial.diagnosis.app.explain import Explanation, KitPixels, explain_tensors
from seatrial.diagnosis.app.explain_outputs import OutputExplanation, explain_classes, explain_outputs
from seatrial.diagnosis.app.faults import FAULTS, Fault
from seatrial.diagnosis.app.predictions import AppPredictions
from seatrial.recipes.schema import Recipe
from seatrial.store.app_kit import SOUND, AppFinding, AppJudgement

TOLERANCE = 2.0
"""Levels of 255: two right decoders, or two roundings of one resize, lie no further apart."""
BY_NAME = {fault.name: fault for fault in FAULTS}
SHOWN = 3
"""Names at most in a sentence."""


@dataclass(frozen=True, slots=True)
class OpenKit:
    """What a judgement needs of a kit."""

    recipe: Recipe
    pixels: KitPixels
    names: Sequence[str]
    tensors: NDArray[np.float32]
    """The right ones, (n, channels, height, width)."""
    outputs: Mapping[str, NDArray[np.float32]]
    """Logits (n, classes) by fault; empty where the kit was made without weights."""


def judge_tensors(given: AppPredictions, kit: OpenKit, tolerance: float) -> tuple[AppJudgement, tuple[Fault, ...]]:
    """The judgement of tensors, and the faults that it names."""
    std = 255 * np.asarray(kit.recipe.normalisation[1], dtype=np.float64).reshape(-1, 1, 1)
    apart = np.abs(given.values.astype(np.float64) - kit.tensors) * std
    worst = apart.max(axis=(1, 2, 3))
    explained = explain_tensors(given.values, kit.pixels)
    same = bool(worst.max() <= tolerance)
    judged = AppJudgement(
        kind="tensors",
        images=len(kit.names),
        verdict="same" if same else "differs",
        findings=_list_findings(explained),
        explained=explained.holds,
        mean_levels=float(apart.mean()),
        largest_levels=float(apart.max()),
        share=float((apart > 0.5).mean()),
        affected=int((worst > tolerance).sum()),
        worst_image=kit.names[int(apart.mean(axis=(1, 2, 3)).argmax())],
        changed=_look_up_changed(explained, kit),
        conclusion="",
    )
    beyond = [name for name, levels in zip(kit.names, worst, strict=True) if levels > tolerance]
    return judged.model_copy(update={"conclusion": _conclude_tensors(judged, explained, beyond, tolerance)}), (
        explained.faults
    )


def _list_findings(explained: Explanation) -> tuple[AppFinding, ...]:
    found = [AppFinding(name=fault.name, step=fault.part, words=fault.words) for fault in explained.faults]
    if explained.measured:
        found.append(AppFinding(name="measured", step="scaling", words=explained.measured))
    return tuple(found)


def _look_up_changed(explained: Explanation, kit: OpenKit) -> int | None:
    """First classes that change, by the logits in the kit: of one fault that explains all."""
    if not kit.outputs or not explained.holds or explained.measured or len(explained.faults) > 1:
        return None
    name = explained.faults[0].name if explained.faults else SOUND
    return int((kit.outputs[name].argmax(axis=1) != kit.outputs[SOUND].argmax(axis=1)).sum())


def _conclude_tensors(judged: AppJudgement, explained: Explanation, beyond: Sequence[str], tolerance: float) -> str:
    levels = (
        f"{_count_levels(judged.mean_levels)} levels of 255 on average, {_count_levels(judged.largest_levels)} at most"
    )
    if judged.largest_levels == 0:
        return "the same: every value is the card's, to the last bit"
    words = "; ".join(finding.words for finding in judged.findings)
    if judged.verdict == "same":
        why = f" ({words})" if words and explained.holds else ""
        return f"the same but for rounding{why}: {levels}, which is within the tolerance of {tolerance:g}"
    where = f"in {len(beyond)} of {judged.images} images"
    if len(beyond) <= SHOWN:
        where += f" ({', '.join(beyond)})"
    elif len(beyond) < judged.images:
        where += f" (such as {', '.join(beyond[:SHOWN])})"
    if explained.holds and words:
        return f"it differs, first at the {judged.findings[0].step}: {words}; {where}, by {levels}"
    if explained.holds:
        return f"it differs {where}, by {levels}: another rounding, decoder or resize that is like the card's"
    most = f"; most like it is: {words} ({explained.left:.1f} levels are left)" if words else ""
    return f"it differs {where}, by {levels}, and none of the known faults explains it{most}"


def _count_levels(levels: float | None) -> str:
    assert levels is not None
    return "more than 1,000" if levels > 1000 else f"{levels:.2g}" if levels < 10 else f"{levels:.0f}"


def judge_outputs(given: AppPredictions, kit: OpenKit) -> AppJudgement:
    """The judgement of logits, probabilities or best classes, by the logits in the kit."""
    if given.kind == "classes":
        found = explain_classes(given.values, kit.outputs)
    else:
        found = explain_outputs(given.values, kit.outputs)
    findings = []
    if found.fault != SOUND:
        fault = BY_NAME[found.fault]
        findings.append(AppFinding(name=fault.name, step=fault.part, words=fault.words))
    if found.ending.faulty and found.explained:
        findings.append(AppFinding(name=found.ending.name, step="outputs", words=found.ending.words))
    verdict = {"same": "same", "differs": "differs", "cannot tell": "cannot tell"}[found.verdict]
    return AppJudgement.model_validate(
        {
            "schema": AppJudgement.model_fields["schema_"].default,
            "kind": given.kind,
            "images": len(kit.names),
            "verdict": verdict,
            "findings": tuple(findings),
            "explained": found.explained,
            "alternatives": tuple(BY_NAME[name].words for name in found.alternatives if name in BY_NAME),
            "relative_error": found.error,
            "floor": found.floor,
            "changed": found.changed,
            "conclusion": _conclude_outputs(given, found, findings),
        }
    )


def _conclude_outputs(given: AppPredictions, found: OutputExplanation, findings: Sequence[AppFinding]) -> str:
    off = (
        f"{found.error:.1%} of the ranks are others (one level of noise: {found.floor:.1%})"
        if given.kind == "classes"
        else f"relative error {found.error:.1e} (one level of noise: {found.floor:.1e})"
    )
    others = [BY_NAME[name].words for name in found.alternatives if name in BY_NAME]
    also = f"; as well it could be: {' · '.join(others[:SHOWN])}" if others else ""
    if len(others) > SHOWN:
        also += f" and {len(others) - SHOWN} more"
    if found.verdict == "same":
        form = f", given as {found.ending.words}" if found.ending.words else ""
        return f"the same: {off}{form}"
    if found.verdict == "differs" and found.explained:
        words = "; ".join(finding.words for finding in findings)
        return f"it differs, first at the {findings[0].step}: {words}; {off}{also}; tensors would show it step by step"
    if found.verdict == "differs":
        return f"it differs, and none of the known faults explains it: {off}; write tensors, which show the step"
    if found.explained:
        return f"cannot tell: {off}, as a sound program gives, but faults give the same here{also}; write tensors"
    return f"cannot tell: {off}, which a coarse engine may do as well as a fault; write tensors, which show the step"
