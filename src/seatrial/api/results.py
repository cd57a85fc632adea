"""What the functions of the API return: the stored records, with where they are stored."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seatrial.api.notebook import Blocks
    from seatrial.compare.regression import Changes
    from seatrial.compare.speed_table import SpeedTable
    from seatrial.compare.training_table import TrainingTable
    from seatrial.results.run import Run
    from seatrial.store.choice import Choice
    from seatrial.store.measurement import Measurement, Scope
    from seatrial.store.records import AccuracyRecord, EngineManifest, GateResult, GraphManifest, Verdict
    from seatrial.store.training import TrainingRecord, TrainingSpeedRecord
    from seatrial.workflow.compare.inputs import Comparable
    from seatrial.workflow.compare.predictions import PredictionsComparison
    from seatrial.workflow.predict import ClassShare


class Shown:
    """Shows itself by its tables: as lines to `print`, as HTML to a notebook."""

    __slots__ = ()

    def _list_blocks(self) -> "Blocks":
        raise NotImplementedError

    def __str__(self) -> str:
        from seatrial.api.notebook import write_text

        return write_text(*self._list_blocks())

    def _repr_html_(self) -> str:
        from seatrial.api.notebook import write_html

        return write_html(*self._list_blocks())


@dataclass(frozen=True, slots=True)
class TrainResult(Shown):
    """A trained checkpoint."""

    folder: Path
    record: "TrainingRecord"
    speed: "TrainingSpeedRecord | None" = None
    """Of `performance=True`."""

    @property
    def checkpoint(self) -> Path:
        """The weights; of `performance=True` there are none."""
        return self.folder / self.record.checkpoint

    def _list_blocks(self) -> "Blocks":
        from seatrial.api.notebook import show_training

        return show_training(self.folder, self.record)


@dataclass(frozen=True, slots=True)
class GraphResult(Shown):
    """An ONNX file."""

    path: Path
    manifest: "GraphManifest"

    def _list_blocks(self) -> "Blocks":
        from seatrial.api.notebook import show_graph

        return show_graph(self.path, self.manifest)


@dataclass(frozen=True, slots=True)
class EngineResult(Shown):
    """An engine folder."""

    folder: Path
    manifest: "EngineManifest"

    def _list_blocks(self) -> "Blocks":
        from seatrial.api.notebook import show_engine

        return show_engine(self.folder, self.manifest)


@dataclass(frozen=True, slots=True)
class AccuracyResult(Shown):
    """An engine's accuracy."""

    path: Path
    """The record; its predictions are beside it."""
    record: "AccuracyRecord"
    gates: "tuple[GateResult, ...]" = ()
    verdict: "Verdict | None" = None
    """None where no gate was given."""

    @property
    def predictions(self) -> Path:
        """The predictions, a Parquet file."""
        return self.path.parent / self.record.predictions

    def _list_blocks(self) -> "Blocks":
        from seatrial.api.notebook import show_accuracy

        return show_accuracy(self.record, self.verdict, self.gates)


@dataclass(frozen=True, slots=True)
class SpeedResult(Shown):
    """An engine's speed."""

    path: Path
    record: "Measurement"
    scopes: "tuple[Scope, ...]"
    """In the order asked for."""
    guide_lines: tuple[str, ...] = ()
    """Of `loop`: what the guides' tools print."""

    def _list_blocks(self) -> "Blocks":
        from seatrial.api.notebook import show_speed

        return show_speed(self.record, self.scopes)


@dataclass(frozen=True, slots=True)
class ComparisonResult(Shown):
    """What `compare` found."""

    kind: "Comparable"
    """What was compared."""
    found: "PredictionsComparison | Changes | SpeedTable | TrainingTable"
    verdict: "Verdict | None"
    """None where nothing was to be judged."""

    def _list_blocks(self) -> "Blocks":
        from seatrial.api.notebook import show_comparison

        return show_comparison(self.found, self.verdict)


@dataclass(frozen=True, slots=True)
class RunResult(Shown):
    """A run folder and all of its records."""

    run: "Run"

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.run.folder

    @property
    def verdict(self) -> "Verdict | None":
        """None of a run that was not judged."""
        return self.run.verdict

    def _list_blocks(self) -> "Blocks":
        from seatrial.api.notebook import show_run

        return show_run(self.run)


@dataclass(frozen=True, slots=True)
class ChoiceResult(Shown):
    """What to deploy."""

    path: Path
    """The record."""
    record: "Choice"

    def _list_blocks(self) -> "Blocks":
        from seatrial.api.notebook import show_choice

        return show_choice(self.record)


@dataclass(frozen=True, slots=True)
class ReportResult(RunResult):
    """A run with a report of it."""

    files: tuple[Path, ...]
    """Those that were written."""
    text: str | None
    """The form that `format` names; None of the pages."""


@dataclass(frozen=True, slots=True)
class Prediction(Shown):
    """What an engine makes of an image."""

    image: str
    engine: str
    best: "tuple[ClassShare, ...]"
    """The five best classes, the best first."""

    def _list_blocks(self) -> "Blocks":
        from seatrial.api.notebook import show_prediction

        return show_prediction(self.image, self.engine, self.best)
