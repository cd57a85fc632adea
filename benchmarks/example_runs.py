"""Runs whose pages people look at, a board of them, and the READMEs of two of them that docs/examples has.

    python benchmarks/example_runs.py --folder WORK [--only resnet50,damaged] [--guides docs/examples]
    python benchmarks/screenshots.py WORK/runs/resnet50 … WORK/board.html --all PICTURES

The five cards' networks have centred weights of a rule and a few dozen crops of photographs, labelled by the network
itself but for every fifth, so that top-1 is 80 %; `damaged` is a run whose OpenVINO engine lost channels of one layer,
`unlabelled` has no labels, and the small ones are networks of timm at 32 pixels, for the board. What stands is kept.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from networks import make_pictures
from planted_sound import make_case
from planted_trial import Cli, Trial

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from planted_faults import change_openvino
from seatrial.engines import get_engine
from seatrial.engines.base import read_engine
from seatrial.engines.self_test import keep_logits
from tiny_trial import make_trial

IMAGES = 40
CALIBRATION = 24
WRONG_EVERY = 5
CLASSES = 1000
SOURCE = Path(__file__).resolve().parents[1] / "src"
BRIEFLY = ("--batch-size", "1,4,8", "--bench-duration", "0.3", "--bench-samples", "10")
SMALL = ("test_resnet", "test_byobnet", "test_efficientnet", "test_convnext", "test_vit", "test_mambaout")
GUIDES = ("resnext50_32x4d", "spnasnet_100")
"""Networks whose READMEs are examples."""
NOTE = """\
<!-- Written by `seatrial report {name} --format guide --language zh` from a real run: the card's network with random \
weights,
{images} crops of photographs with labels of its own, a fifth of them changed, on two cores that other programs used \
too.
benchmarks/example_runs.py makes it anew. -->
"""


@dataclass(frozen=True)
class Place:
    """Where the runs and what they are made of stand: in the current folder, so that records have no other's name."""

    cli: Cli
    cases: Path = Path("cases")
    runs: Path = Path("runs")

    def run(self, name: str) -> Path:
        """The folder of a run."""
        return self.runs / name


def run_network(place: Place, name: str, network: str, engines: str, *more: str) -> None:
    """The trial of a card's network."""
    trial = spoil_labels(make_case(place.cases, network, IMAGES))
    run_trial(place, name, trial, "--engines", engines, *more)


def run_trial(place: Place, name: str, trial: Trial, *more: str) -> None:
    """`seatrial run`, with labels where the trial has some; what it is judged as is printed."""
    words = ["run", trial.card, "--checkpoint", trial.checkpoint, "--images", trial.images, *BRIEFLY, *more]
    words += ["--no-labels"] if trial.labels is None else ["--labels", trial.labels]
    ran = place.cli.run(*words, "--output", place.run(name))
    print(f"{name}: exit code {ran.code}: {ran.stdout.splitlines()[-1] if ran.stdout else ran.stderr}", flush=True)


def spoil_labels(trial: Trial) -> Trial:
    """The trial with another class for every fifth image."""
    found = trial.read_labels()
    labels = trial.card.with_name(f"{trial.card.stem}-labels.txt")
    lines = (
        f"{name} {(label + 1) % CLASSES if place % WRONG_EVERY == 0 else label}\n"
        for place, (name, label) in enumerate(found.items())
    )
    labels.write_text("".join(lines))
    return trial.but(labels=labels)


def run_quantised(place: Place) -> None:
    """ResNet-50, also as int8, with the card's own gate, which so few images cannot settle."""
    calibration = place.cases / "calibration"
    if not calibration.exists():
        calibration.mkdir(parents=True)
        for path in make_pictures(place.cases / "pictures")[-CALIBRATION:]:
            shutil.copy(path, calibration)
    engines = "onnxruntime,openvino,onnxruntime:int8,openvino:int8"
    run_network(place, "resnet50", "resnet50", engines, "--opset", "13", "--calibration", str(calibration))


def run_unlabelled(place: Place) -> None:
    """SPNASNet without labels: agreement is all that is judged."""
    trial = make_case(place.cases, "spnasnet_100", IMAGES).but(labels=None)
    run_trial(place, "unlabelled", trial, "--engines", "onnxruntime,openvino")


def run_damaged(place: Place) -> None:
    """The run of SPNASNet again, after its OpenVINO engine lost the first channels of a layer in the middle."""
    run, sound = place.run("damaged"), place.run("spnasnet_100")
    if not sound.exists():
        run_network(place, sound.name, sound.name, "onnxruntime,openvino")
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(sound, run)
    change_openvino(run, "openvino", drop_channels)
    # As a compiler that loses them leaves it: what it gave when it was compiled was wrong already.
    folder = run / "engines" / "openvino"
    keep_logits(get_engine("openvino"), read_engine(folder)).save(folder / "engine.json")
    for path in (*run.glob("evaluation/openvino.*"), *run.glob("bench/openvino.*"), *run.glob("*.html")):
        path.unlink()
    run_network(place, run.name, sound.name, "onnxruntime,openvino")


def drop_channels(kernel: np.ndarray) -> np.ndarray:
    """A kernel, (out, in, height, width), without the first eighth of its output channels."""
    kept = np.arange(len(kernel)) >= len(kernel) // 8
    return kernel * kept[:, None, None, None]


def run_small(place: Place, network: str) -> None:
    """A network of timm at 32 pixels, with random labels."""
    folder = place.cases / network
    shutil.rmtree(folder, ignore_errors=True)
    tiny = make_trial(folder, images=60, network=network)
    trial = Trial(tiny.card, tiny.checkpoint, tiny.images, tiny.labels, folder)
    run_trial(place, network, trial, "--engines", "onnxruntime,openvino")


CASES: dict[str, Callable[[Place], None]] = {
    "resnet50": run_quantised,
    **{
        name: partial(run_network, name=name, network=name, engines="onnxruntime,openvino")
        for name in ("spnasnet_100", "sk_resnet50", "resnext50_32x4d", "seresnext101_32x4d")
    },
    "damaged": run_damaged,
    "unlabelled": run_unlabelled,
    **{name: partial(run_small, network=name) for name in SMALL},
}
"""What makes each run, by its name."""


def write_pages(place: Place, guides: Path | None) -> None:
    """The board, Chinese reports beside the English ones, and the examples of guides."""
    place.cli.must("board", place.runs, "--output", "board.html")
    for run in sorted(place.runs.iterdir()):
        words = ("report", run, "--language", "zh")
        # A run that is not judged, as it failed, has a report too.
        place.cli.run(*words, "--format", "html", "--output", f"{run.name}.zh.html")
        if guides is not None and run.name in GUIDES:
            output = guides / f"{run.name}.zh.md"
            place.cli.must(*words, "--format", "guide", "--output", output)
            output.write_text(NOTE.format(name=run.name, images=IMAGES) + "\n" + output.read_text(encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--only", default=",".join(CASES), help="names of runs, all unless given")
    parser.add_argument("--guides", type=Path, help="where the READMEs go; default: they are not written")
    given = parser.parse_args()
    guides = given.guides and given.guides.resolve()
    with closing(Cli(SOURCE)) as cli:
        given.folder.mkdir(parents=True, exist_ok=True)
        os.chdir(given.folder)
        place = Place(cli)
        for name in filter(None, given.only.split(",")):
            if name not in CASES:
                parser.error(f"--only {name}: there are {', '.join(CASES)}")
            CASES[name](place)
        write_pages(place, guides)


if __name__ == "__main__":
    main()
