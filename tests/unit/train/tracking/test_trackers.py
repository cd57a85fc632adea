"""TensorBoard and MLflow, by reading back what they stored."""

import sys
from pathlib import Path
from typing import Any

import pytest

from seatrial.errors import EngineError
from seatrial.progress import silent
from seatrial.recipes.training import Train
from seatrial.train.tracking.events import LogJob
from seatrial.train.tracking.listeners import LOG, open_listeners
from seatrial.train.tracking.trackers import name_epoch, name_step
from training_steps import STEPS, make_epoch, make_step


def make_job(output: Path, tracker: str, **changes: Any) -> LogJob:
    return LogJob(output, "tiny", "key", Train(epochs=2, print_freq=2), track=(tracker,), **changes)


def play(job: LogJob, first: int, last: int, **changes: Any) -> None:
    listeners = open_listeners(job, silent)
    for listener in listeners:
        for number in range(first, last + 1):
            listener.on_step(make_step(number, **changes))
        listener.on_epoch(make_epoch(2))
        listener.close()


@pytest.mark.parametrize(("tracker", "module"), [("tensorboard", "tensorboard"), ("mlflow", "mlflow")])
def test_a_tracker_that_is_not_installed_names_the_extra(
    tracker: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EngineError, match=r"is not installed; pip install 'seatrial\[track\]'"):
        open_listeners(make_job(tmp_path, tracker), silent)
    assert not (tmp_path / LOG).exists()


def test_names_and_figures() -> None:
    assert name_step(make_step(2)) == {
        "train/loss": 2.5,
        "train/learning_rate": 0.02,
        "train/images_per_s": 16.0,
        "train/data_s": 0.1,
        "train/compute_s": 0.4,
        "train/top1": 0.25,
    }
    values = name_epoch(make_epoch(2))
    assert values["epoch/val_top1"] == 0.25 and "epoch/epoch" not in values


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_has_every_printed_step_once_also_after_a_resume(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    play(make_job(tmp_path, "tensorboard"), 1, 4, loss=9.0)
    play(make_job(tmp_path, "tensorboard", step=3), 4, STEPS)
    found = EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert [(e.step, e.value) for e in found.Scalars("train/loss")] == [(2, 9.0), (4, 2.0), (6, 1.5)]
    assert [(e.step, e.value) for e in found.Scalars("epoch/val_top1")] == [(6, 0.25)]


@pytest.mark.filterwarnings("ignore")
def test_mlflow_resumes_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    play(make_job(tmp_path, "mlflow"), 1, 4)
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.status, run.data.params["epochs"], run.data.metrics["train/loss"]) == ("KILLED", "2", 2.0)
    play(make_job(tmp_path, "mlflow", step=4), 5, STEPS)
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert [m.step for m in client.get_metric_history(run.info.run_id, "train/loss")] == [2, 4, 6]
    assert run.data.metrics["epoch/val_top1"] == 0.25
    play(make_job(tmp_path, "mlflow"), 1, 2)
    assert len(client.search_runs([experiment.experiment_id])) == 2
    assert not (tmp_path / "mlruns").exists()
