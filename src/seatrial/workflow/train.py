"""`seatrial train`: a card and a data set to a checkpoint with its record."""

import functools
from dataclasses import replace

from seatrial.errors import UsageError
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe, load_recipe
from seatrial.recipes.training import find_idle
from seatrial.store.records import TrainingRecord
from seatrial.train.distributed.launch import launch
from seatrial.train.distributed.rank import read_place
from seatrial.train.input.sampler import check_parts
from seatrial.workflow.train_spec import TrainSpec, choose_settings


def train_recipe(spec: TrainSpec, progress: Progress = silent) -> TrainingRecord:
    """Train, or find it done; a training that was stopped goes on where it was.

    Under torchrun this is one process of many, and all return the first one's record; with `nproc` the processes are
    started here.

    Raises:
        UsageError: no such recipe, setting or preset; a batch that cannot be shared among the processes.
        DataError: the data set is not of the layout above, or a file is no image.
        EngineError: device or backend is not there, or a process was killed.
        RefusedFile: snapshots or the file to go on from are damaged, or another network's.
        StorageError: a file cannot be written; the snapshot before it is as it was.
        TrainingDiverged: the loss is no longer a number.
        Interrupted: a signal came, and a snapshot was written.
    """
    recipe = choose_settings(load_recipe(spec.recipe), spec.preset, spec.settings)
    for name in find_idle(recipe.train, spec.settings):
        progress(Update("train", note=f"--{name.replace('_', '-')} changes nothing beside the other settings"))
    if spec.nproc <= 1:
        return _sit(spec, recipe, progress)
    if read_place().launched:
        raise UsageError("torchrun has started the processes already", "leave out --nproc")
    if not spec.evaluate_only:
        # Whether BatchNorm needs more is known once there is a network; this much before processes are started.
        check_parts(recipe.train, recipe.train.batch_size, spec.nproc, has_batch_norm=False)
    return launch(functools.partial(_sit, replace(spec, nproc=1), recipe), spec.nproc, progress)


def _sit(spec: TrainSpec, recipe: Recipe, progress: Progress) -> TrainingRecord:
    # Here and not above, so that what needs no torch starts without it.
    from seatrial.workflow.train_process import sit

    return sit(spec, recipe, progress)
