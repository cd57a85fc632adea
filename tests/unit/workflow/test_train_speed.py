"""The steps of a training to the record of its speed."""

from pathlib import Path
from typing import Any

import pytest

from seatrial.errors import UsageError
from seatrial.recipes import Recipe, load_recipe
from seatrial.store.training import TrainingRecord, TrainingSpeedRecord
from seatrial.train.tracking.events import Step
from seatrial.train.tracking.listeners import StepRecorder
from seatrial.workflow.train_speed import SPEED, describe_speed
from training_speeds import make_environment, make_speed
from training_steps import make_epoch, make_step


def make_context(
    recipe: Recipe | None = None, machines: int = 1, **changes: Any
) -> tuple[TrainingRecord, Recipe, float, int]:
    trained = recipe or load_recipe("resnet50")
    facts: dict[str, Any] = {
        "key": "0",
        "recipe": trained.name,
        "settings": trained.train.model_dump(mode="json"),
        "precision": "fp16",
        "device": "npu:0",
        "epochs": (),
        "environment": make_environment(),
    }
    return TrainingRecord(**{**facts, **changes}), trained, 60.0, machines


def make_steps(count: int, slow: int = 0) -> list[Step]:
    """Steps of half a second; the first `slow` take a hundred."""
    return [make_step(number, compute_s=100.0 if number <= slow else 0.4) for number in range(1, count + 1)]


def test_the_first_ten_steps_do_not_count() -> None:
    speed = describe_speed(make_steps(40, slow=10), *make_context())
    assert (speed.excluded, len(speed.images)) == (10, 30)
    assert speed.images_per_s == pytest.approx(16.0)
    assert speed.data_share == pytest.approx(0.2)
    assert speed.doubts == ()


def test_of_a_few_steps_half_count_and_the_figure_is_doubted() -> None:
    speed = describe_speed(make_steps(7, slow=3), *make_context())
    assert (speed.excluded, len(speed.images), speed.doubts) == (3, 4, ("only 4 steps were timed",))
    assert speed.images_per_s == pytest.approx(16.0)


def test_steps_of_several_sizes_weigh_by_their_time() -> None:
    """8 images in a second and 8 in three are 16 in four: neither the mean of 8 and 2.67 nor of their times."""
    steps = [make_step(n, data_s=0.0, compute_s=1.0 if n % 2 else 3.0) for n in range(1, 41)]
    assert describe_speed(steps, *make_context()).images_per_s == pytest.approx(4.0)


def test_no_step_has_no_speed() -> None:
    with pytest.raises(UsageError, match="no step was timed"):
        describe_speed([], *make_context())


def test_what_is_known_of_the_training_stands_in_the_record() -> None:
    recorder = StepRecorder()
    for step in make_steps(30):
        recorder.on_step(step)
    recorder.close()
    epochs = (make_epoch(1), make_epoch(2))
    speed = describe_speed(recorder.steps, *make_context(world_size=8, synthetic=True, epochs=epochs))
    assert (speed.name, speed.recipe, speed.epochs, speed.top1) == ("8p-NPU", "resnet50", 2, 0.25)
    assert (speed.size, speed.batch_size, speed.cards, speed.synthetic) == ((224, 224), 512, 8, True)
    assert speed.loss == make_steps(30)[-1].loss


def test_training_may_see_smaller_images_than_the_network() -> None:
    recipe = load_recipe("resnet50")
    smaller = recipe.model_copy(update={"train": recipe.train.model_copy(update={"size": 176})})
    assert describe_speed(make_steps(30), *make_context(recipe=smaller)).size == (176, 176)


def test_processes_on_one_cpu_are_one_device() -> None:
    speed = describe_speed(make_steps(30), *make_context(device="cpu", world_size=4, machines=2))
    assert (speed.cards, speed.doubts) == (2, ("2 processes share the cores of one machine",))


def test_the_record_comes_back_whole(tmp_path: Path) -> None:
    speed = make_speed()
    speed.save(tmp_path / SPEED)
    assert TrainingSpeedRecord.load(tmp_path / SPEED) == speed
