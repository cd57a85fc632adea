"""`seatrial demo`: the whole trial on data that comes with a dependency."""

from pathlib import Path

from seatrial.data.demo import make_demo
from seatrial.machine.cpu import has_fast_bf16
from seatrial.progress import Progress, Update, silent
from seatrial.results.run import Run
from seatrial.workflow.run import run_pipeline
from seatrial.workflow.run_spec import RunSpec
from seatrial.workflow.train import train_recipe
from seatrial.workflow.train_spec import TrainSpec

EPOCHS_WITHOUT_BF16 = 4
"""fp32 takes about twice as long for an epoch; fewer of them keep the demo's time."""

BENCH_S = 3.0
"""Most seconds of timing of each of its twelve points: with their processes' start about a minute."""


def run_demo(output: Path, progress: Progress = silent, force: bool = False) -> Run:
    """Make the data, train, run; what an earlier demo left at `output` is not made again.

    Args:
        force: train anew, as is needed where an earlier demo trained with other versions of torch or timm.
    """
    data = make_demo(output / "data", progress)
    bf16 = has_fast_bf16()
    if not bf16:
        note = "this CPU has no bf16 arithmetic: training in fp32, slower and for fewer epochs"
        progress(Update("demo", note=note))
    settings = {} if bf16 else {"epochs": EPOCHS_WITHOUT_BF16}
    trained = train_recipe(TrainSpec(str(data.card), data.folder, output / "train", settings, force=force), progress)
    return run_pipeline(
        RunSpec(
            recipe=str(data.card),
            checkpoint=output / "train" / trained.checkpoint,
            images=data.val,
            labels=data.labels,
            engines=("onnxruntime", "openvino:bf16" if bf16 else "openvino:fp32"),
            output=output,
            bench_duration_s=BENCH_S,
            bench_min_samples=10,
        ),
        progress,
    )
