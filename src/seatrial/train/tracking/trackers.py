"""A training told to TensorBoard and to MLflow, which come with the extra `track`."""

import os
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from seatrial.errors import EngineError
from seatrial.store.records import Epoch
from seatrial.train.tracking.events import Listener, Step

if TYPE_CHECKING:
    from seatrial.train.tracking.log_job import LogJob

INSTALL = "pip install 'seatrial[track]'"


def name_step(step: Step) -> dict[str, float]:
    """The figures of a step by the names that trackers show."""
    known = {"train/top1": step.top1, "train/top5": step.top5}
    return {
        "train/loss": step.loss,
        "train/learning_rate": step.learning_rate,
        "train/images_per_s": step.images_per_s,
        "train/data_s": step.data_s,
        "train/compute_s": step.compute_s,
        **{name: value for name, value in known.items() if value is not None},
    }


def name_epoch(epoch: Epoch) -> dict[str, float]:
    """The figures of an epoch: `epoch/val_top1` and so on."""
    facts = epoch.model_dump(exclude={"epoch", "learning_rate"})
    return {f"epoch/{name}": float(value) for name, value in facts.items() if isinstance(value, int | float)}


def open_tensorboard(job: "LogJob") -> Listener:
    """TensorBoard's files in `tensorboard/`; after a resume it forgets the steps since the snapshot.

    Raises:
        EngineError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise EngineError("TensorBoard is not installed", INSTALL) from None
    return TensorBoard(SummaryWriter(str(job.output / "tensorboard"), purge_step=job.step + 1), job)


class TensorBoard:
    """Scalars every `print_freq` steps and after each epoch."""

    def __init__(self, writer: Any, job: "LogJob") -> None:
        self.writer = writer
        self.every = job.settings.print_freq
        self.step = job.step

    def on_step(self, step: Step) -> None:
        """Every `print_freq` steps."""
        self.step = step.step
        if step.step % self.every == 0:
            self._add(name_step(step))

    def on_epoch(self, epoch: Epoch) -> None:
        """The epoch, at the step that it ended with."""
        self._add(name_epoch(epoch))

    def close(self) -> None:
        """Write what is left."""
        self.writer.close()

    def _add(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, self.step)
        self.writer.flush()


def open_mlflow(job: "LogJob") -> Listener:
    """A run of MLflow in `mlflow.db`, or where MLFLOW_TRACKING_URI says; a training that goes on goes on with its run.

    Raises:
        EngineError: MLflow is not installed.
    """
    # MLflow tells its makers about each use unless it is told not to.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        from mlflow import MlflowClient

        # Its own files on disk are a database: the folders of text that it wrote before are refused by now.
        place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{job.output.absolute() / 'mlflow.db'}"
        client = MlflowClient(tracking_uri=place)
    except ImportError:
        raise EngineError("MLflow is not installed", INSTALL) from None
    return MLflow(client, job)


class MLflow:
    """Parameters once, metrics every `print_freq` steps and after each epoch."""

    def __init__(self, client: Any, job: "LogJob") -> None:
        self.client = client
        self.every = job.settings.print_freq
        self.step = job.step
        self.whole = False
        self.run = self._find_run(job) or self._begin_run(job)

    def on_step(self, step: Step) -> None:
        """Every `print_freq` steps."""
        self.step = step.step
        self.whole = step.step == step.steps
        if step.step % self.every == 0:
            self._add(name_step(step))

    def on_epoch(self, epoch: Epoch) -> None:
        """The epoch, at the step that it ended with."""
        self._add(name_epoch(epoch))

    def close(self) -> None:
        """End the run, as killed where steps are left."""
        self.client.set_terminated(self.run, "FINISHED" if self.whole else "KILLED")

    def _find_run(self, job: "LogJob") -> str | None:
        experiment = self.client.get_experiment_by_name(job.recipe)
        if not job.step or experiment is None:
            return None
        runs = self.client.search_runs([experiment.experiment_id], f"tags.`seatrial.key` = '{job.key}'")
        if runs:
            self.client.update_run(runs[0].info.run_id, status="RUNNING")
        return str(runs[0].info.run_id) if runs else None

    def _begin_run(self, job: "LogJob") -> str:
        experiment = self.client.get_experiment_by_name(job.recipe)
        made = experiment.experiment_id if experiment is not None else self.client.create_experiment(job.recipe)
        run = str(self.client.create_run(made, tags={"seatrial.key": job.key}).info.run_id)
        for name, value in job.settings.model_dump(mode="json").items():
            self.client.log_param(run, name, value)
        return run

    def _add(self, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(datetime.now().timestamp() * 1000)
        self.client.log_batch(self.run, [Metric(name, value, now, self.step) for name, value in values.items()])
