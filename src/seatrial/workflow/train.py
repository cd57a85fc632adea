"""`seatrial train`: a card and a data set to a checkpoint with its record."""

import functools
from dataclasses import replace

from seatrial.errors import UsageError
from seatrial.machine.openmp import brief_spinning
from seatrial.models.sources import resolve_network
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe
from seatrial.recipes.training import find_idle
from seatrial.store.training import TrainingRecord
from seatrial.train.distributed.launch import launch
from seatrial.train.distributed.rank import read_rank
from seatrial.train.input.sampler import check_parts
from seatrial.workflow.train_spec import CHECKPOINT, TrainSpec, choose_settings, find_trained


@brief_spinning()
def train_recipe(spec: TrainSpec, progress: Progress = silent) -> TrainingRecord:
    """Train a recipe, or find it done; a stopped training resumes.

    Under torchrun this is one process of many, and all return the record of the first; with `nproc` it starts the
    processes.

    Raises:
        UsageError: no such recipe, setting or preset; a batch is too small for the processes.
        DataError: the data set has no known layout, or an image cannot be read.
        EngineError: device or backend is not available, or a process was killed.
        RefusedFile: snapshots or the file of --resume are damaged, or of another network.
        StorageError: a file cannot be written; the last snapshot is as it was.
        TrainingDiverged: loss or weights are no longer finite.
        Interrupted: a signal came, and a snapshot was written.
    """
    card = resolve_network(spec.recipe, spec.image_size, classes=spec.classes)
    recipe = choose_settings(card, spec.preset, spec.settings)
    for name in find_idle(recipe.train, spec.settings):
        progress(Update("train", note=f"--{name.replace('_', '-')} has no effect with the other settings"))
    done = find_trained(spec, recipe, progress)
    if done is not None:
        progress(Update("train", note=f"already trained: {spec.output / CHECKPOINT}"))
        return done
    if spec.nproc <= 1:
        return _run_rank(spec, recipe, progress)
    if read_rank().launched:
        raise UsageError("torchrun starts the processes, so --nproc must not", "leave it out")
    if not spec.evaluate_only:
        # Before processes are started; whether BatchNorm needs more is known once there is a network.
        check_parts(recipe.train, recipe.train.batch_size, spec.nproc, has_batch_norm=False)
    return launch(functools.partial(_run_rank, replace(spec, nproc=1), recipe), spec.nproc, progress)


def _run_rank(spec: TrainSpec, recipe: Recipe, progress: Progress) -> TrainingRecord:
    # Imported late, so that what needs no torch starts without it.
    from seatrial.workflow.train_process import run_rank

    return run_rank(spec, recipe, progress)
