"""What is said of a choice."""

from pathlib import Path

import pytest

from made_choice import CANDIDATES, SETTINGS, make_candidate, make_choice, make_setting
from run_folder import TORCH, Trial, build_run
from seatrial.api.notebook import show_choice
from seatrial.errors import ExitCode
from seatrial.report.choice import MOST_LISTED, conclude, describe_choice, list_reasons, tabulate
from seatrial.report.choice import make_choice as make_choice_table
from seatrial.report.markdown import write_markdown
from seatrial.results.run_folder import read_records
from seatrial.store.choice import SettingResult
from seatrial.store.records import RunManifest


def test_each_candidate_is_shown_at_its_best_setting() -> None:
    rows = [list(row) for row in tabulate(make_choice(SETTINGS, CANDIDATES)).rows]
    assert rows[0] == ["fast", "PASS", "–", "1.0", "8", "2", "all", "1,000.0", "980.0 to 1,020.0", "chosen"]
    assert rows[1][1] == "FAIL" and rows[1][-1] == "accuracy lost"
    assert rows[2][1] == "–" and rows[2][-1] == "slower"
    assert [*list_reasons(make_choice(SETTINGS, CANDIDATES))] == ["lossy: it fell", "slow: at least 2 times"]


def test_the_choice_is_said_with_what_cannot_be_told_from_it() -> None:
    choice = make_choice(SETTINGS, CANDIDATES)
    assert [*conclude(choice)] == [
        "deploy fast at batch 8, 2 streams: 1,000.0 images/s (980.0 to 1,020.0)",
        "not distinguishable from it:",
        "  fast at batch 16, 2 streams: an image takes 0.98 to 1.04 times as long",
    ]
    text = describe_choice(choice, Path("trial/choice.json"))
    assert "doubt: it was hot" in text and "  seatrial compile model.onnx" in text
    said, grid = show_choice(choice)
    assert isinstance(said, str) and said.startswith("deploy fast at batch 8") and grid == tabulate(choice)


def test_a_bound_that_says_nothing_is_left_out_and_a_look_is_called_one() -> None:
    facts = {"times_low": 0.5, "times_high": 1e6}
    settings = (*SETTINGS[1:2], make_setting("fast", "as fast", 995.0, 16, **facts, rounds=0))
    assert [*conclude(make_choice(settings, CANDIDATES))][-1] == "  fast at batch 16, 2 streams, by the screening"


def test_of_many_that_are_as_fast_some_are_named_and_the_rest_counted() -> None:
    many = tuple(make_setting("fast", "as fast", 900.0 + size, size) for size in range(2, 2 + MOST_LISTED + 3))
    lines = [*conclude(make_choice((*SETTINGS[1:2], *many), CANDIDATES))]
    assert lines[-1] == "  and 3 more, in choice.json"
    assert lines[2].startswith(f"  fast at batch {MOST_LISTED + 4},")  # The fastest goes first.


@pytest.mark.parametrize(
    ("code", "words"),
    [(ExitCode.ACCURACY, "no candidate keeps the accuracy"), (ExitCode.SPEED, "latency"), (7, "nothing to deploy yet")],
)
def test_without_a_choice_it_is_said_why(code: ExitCode, words: str) -> None:
    choice = make_choice(SETTINGS[3:], CANDIDATES, code=ExitCode(code))
    assert words in next(iter(conclude(choice)))


def test_the_smallest_is_said_by_its_size() -> None:
    chosen = SettingResult(candidate="fast", state="chosen", batch_size=1, streams=1, threads=None)
    choice = make_choice((), CANDIDATES, goal="size").model_copy(update={"chosen": chosen, "complete": False})
    first, second = conclude(choice)
    assert first == "deploy fast: 1,048,576 bytes, the smallest that certainly keep the accuracy"
    assert second == "the time was up before the rest was certain; the same command goes on"
    assert [row[-1] for row in tabulate(choice).rows] == ["chosen", "accuracy lost", "not evaluated"]
    others = (CANDIDATES[0], make_candidate("same"), make_candidate("big", None), make_candidate("broken", None, None))
    whole = make_choice((), others, goal="size").model_copy(update={"chosen": chosen})
    assert [row[-1] for row in tabulate(whole).rows] == ["chosen", "as small", "larger", "not compiled"]


def test_the_report_shows_the_choice_of_its_own_inputs(tmp_path: Path) -> None:
    folder = build_run(tmp_path, Trial(ships=(TORCH,)))
    assert make_choice_table(read_records(folder)) == ()
    choice = make_choice(SETTINGS, CANDIDATES)
    choice.save(folder / "choice.json")
    assert read_records(folder).choice is None  # It is of a run with other inputs.
    own = choice.model_copy(update={"run": RunManifest.load(folder / "run.json").identity})
    own.save(folder / "choice.json")
    (table,) = make_choice_table(read_records(folder))
    assert table.title == "What to deploy" and [row[-1] for row in table.rows] == ["chosen", "accuracy lost", "slower"]
    assert "1,000.0" in write_markdown(read_records(folder))
