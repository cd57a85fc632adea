"""Logs a training to TensorBoard and MLflow, which come with the extra `track`."""

import os
from collections.abc import Mapping
from datetime import datetime

from seatrial.extras import naming_extras
from seatrial.store.training import Epoch
from seatrial.train.tracking.events import Listener, LogJob, Step


def name_step(step: Step) -> dict[str, float]:
    """The figures of a step by the names that trackers show."""
    names = ("loss", "learning_rate", "images_per_s", "data_s", "compute_s", "top1", "top5")
    values = {f"train/{name}": getattr(step, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def name_epoch(epoch: Epoch) -> dict[str, float]:
    """The figures of an epoch: `epoch/val_top1` and so on."""
    facts = epoch.model_dump(exclude={"epoch", "learning_rate"})
    return {f"epoch/{name}": float(value) for name, value in facts.items() if isinstance(value, int | float)}


class Tracker(Listener):
    """Logs figures every `print_freq` steps and after each epoch."""

    def __init__(self, job: LogJob) -> None:
        self.every, self.step, self.finished = job.settings.print_freq, job.step, False

    def on_step(self, step: Step) -> None:
        """Log every `print_freq`-th step."""
        self.step, self.finished = step.step, step.step == step.steps
        if step.step % self.every == 0:
            self.add(name_step(step))

    def on_epoch(self, epoch: Epoch) -> None:
        """Log the epoch at its last step."""
        self.add(name_epoch(epoch))

    def add(self, values: Mapping[str, float]) -> None:
        """Log figures at the current step."""
        raise NotImplementedError


class TensorBoard(Tracker):
    """Writes scalars to `tensorboard/`; after a resume the steps since the snapshot are purged.

    Raises:
        EngineError: TensorBoard is not installed.
    """

    def __init__(self, job: LogJob) -> None:
        super().__init__(job)
        with naming_extras():
            from torch.utils.tensorboard import SummaryWriter
        self.writer = SummaryWriter(str(job.output / "tensorboard"), purge_step=job.step + 1)

    def add(self, values: Mapping[str, float]) -> None:
        """Write scalars."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, self.step)
        self.writer.flush()

    def close(self) -> None:
        """Close the file."""
        self.writer.close()


class MLflow(Tracker):
    """Logs to `mlflow.db` or to MLFLOW_TRACKING_URI; a resumed training resumes its run.

    Raises:
        EngineError: MLflow is not installed.
    """

    def __init__(self, job: LogJob) -> None:
        super().__init__(job)
        with naming_extras():
            from mlflow import MlflowClient

            # A database file, as newer versions refuse folders of text.
            uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{job.output.absolute() / 'mlflow.db'}"
            self.client = MlflowClient(tracking_uri=uri)
        self.run = self._open_run(job)

    def add(self, values: Mapping[str, float]) -> None:
        """Log metrics."""
        from mlflow.entities import Metric

        now = int(datetime.now().timestamp() * 1000)
        self.client.log_batch(self.run, [Metric(name, value, now, self.step) for name, value in values.items()])

    def close(self) -> None:
        """End the run, as killed if steps are left."""
        self.client.set_terminated(self.run, "FINISHED" if self.finished else "KILLED")

    def _open_run(self, job: LogJob) -> str:
        """The run of a training that resumes, or a new one."""
        experiment = self.client.get_experiment_by_name(job.recipe)
        experiment_id = experiment.experiment_id if experiment else self.client.create_experiment(job.recipe)
        runs = self.client.search_runs([experiment_id], f"tags.`seatrial.key` = '{job.key}'") if job.step else []
        if runs:
            self.client.update_run(runs[0].info.run_id, status="RUNNING")
            return str(runs[0].info.run_id)
        run = str(self.client.create_run(experiment_id, tags={"seatrial.key": job.key}).info.run_id)
        for name, value in job.settings.model_dump(mode="json").items():
            self.client.log_param(run, name, value)
        return run
