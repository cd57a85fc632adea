"""What the page on accuracy says is run, and the figures on it are those that were printed."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pages import read_commands, read_page
from seatrial.cli import run_cli
from seatrial.evaluation.exact_drop import drop_interval
from seatrial.evaluation.sequential import plan_looks
from seatrial.evaluation.statistics import Paired
from seatrial.store.predictions import Predictions

ROOT = Path(__file__).parents[2]
PAGE = read_page("docs/accuracy.md")
RESULTS = (ROOT / "benchmarks" / "results" / "sequential.txt").read_text(encoding="utf-8")
ERRORS = (ROOT / "benchmarks" / "results" / "drop_gate.txt").read_text(encoding="utf-8")
IMAGES, CLASSES = 2000, 20


def draw_answers(path: Path, seed: int, ids: tuple[str, ...], reference: Predictions | None = None) -> Predictions:
    """Answers, 7 in 10 right; with a reference its own but for one in 40, of which fewer are right."""
    rng = np.random.default_rng(seed)
    labels = np.arange(len(ids), dtype=np.int32) % CLASSES
    order = rng.permuted(np.tile(np.arange(CLASSES, dtype=np.int32), (len(ids), 1)), axis=1)
    right = np.flatnonzero(rng.random(len(ids)) < (0.7 if reference is None else 0.45))
    order[right, (order[right] == labels[right, None]).argmax(axis=1)] = order[right, 0]
    order[right, 0] = labels[right]
    order = order[:, :5]
    if reference is not None:
        kept = rng.random(len(ids)) < 39 / 40
        order[kept] = reference.classes[kept]
    scores = np.sort(rng.normal(3, 1, (len(ids), 5)).astype(np.float32), axis=1)[:, ::-1]
    drawn = Predictions(ids, labels, order, scores if reference is None else reference.scores * np.float32(1.01))
    drawn.save(path)
    return drawn


@pytest.fixture(scope="module", autouse=True)
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder in which the page's names exist."""
    folder = tmp_path_factory.mktemp("page")
    ids = tuple(f"image_{row:04d}.JPEG" for row in range(IMAGES))
    reference = draw_answers(folder / "accuracy" / "torch.parquet", 0, ids)
    draw_answers(folder / "accuracy" / "openvino-int8.parquet", 1, ids, reference)
    (folder / "new_label.txt").write_text("".join(f"{name} {row % CLASSES}\n" for row, name in enumerate(ids)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


@pytest.mark.parametrize("words", read_commands("docs/accuracy.md"), ids=lambda words: " ".join(words)[:60])
def test_a_command_of_the_page_runs(words: list[str]) -> None:
    assert run_cli(words) == (7 if "--gate-pp" in words else 0)


def test_the_page_shows_what_the_first_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    run_cli(read_commands("docs/accuracy.md")[0])
    assert capsys.readouterr().out in PAGE


def test_the_errors_are_those_that_were_printed() -> None:
    found = [b.splitlines() for b in re.split(r"^```.*\n", PAGE, flags=re.MULTILINE)[1::2] if "false PASS" in b]
    assert found and all(len(lines) > 8 and set(lines) <= set(ERRORS.splitlines()) for lines in found)


def test_the_table_is_the_one_that_was_printed() -> None:
    (table,) = (block for block in re.split(r"^```.*\n", PAGE, flags=re.MULTILINE)[1::2] if "every look" in block)
    lines = table.splitlines()
    assert len(lines) > 10
    assert set(lines) <= set(RESULTS.splitlines())


def test_as_many_images_as_the_page_names_pass_and_one_fewer_does_not() -> None:
    table = PAGE.partition("| gate, points |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = [[float(cell.replace(",", "")) for cell in line.strip("| ").split("|")] for line in table]
    assert [row[0] for row in rows] == [1, 0.5, 0.1]
    for gate, *counts in rows:
        for flips, count in zip((0, 1, 5, 10), map(int, counts), strict=True):
            enough, fewer = (
                drop_interval(Paired(n - 2 * flips, flips, flips, 0))[1] < gate / 100 for n in (count, count - 1)
            )
            assert (enough, fewer) == (True, False)


def test_the_looks_are_those_that_are_planned() -> None:
    listed = re.search(r"For a set of 50,000 images they are at ([0-9, ]+) and 50,000", PAGE)
    assert listed is not None
    assert [int(n.replace(",", "")) for n in listed[1].split(", ")] == [look.images for look in plan_looks(50_000)][:-1]
