"""The README of a guide, checked as the cards' guides are: what is wrong in it is found, what is right is not."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from run_folder import BF16, INT8, ORT, TORCH, Trial, build_run
from seatrial.cli import run_cli
from seatrial.errors import UsageError
from seatrial.recipes import Recipe, load_recipe
from seatrial.recipes.claims import check_claims
from seatrial.recipes.guide_text import check_guide_file, check_guide_text, read_tables
from seatrial.report.forms import write_form
from seatrial.results.run_folder import read_run

PRINTED = ("rounding", "arithmetic")


def print_guide(recipe: Recipe) -> str:
    """The equations and the table of a card's guide, as the guide printed them."""
    assert recipe.guide is not None
    lines = [
        f"batch{size} {equation} qps" for column in recipe.published for size, equation in column.derivation.items()
    ]
    columns = {column.label: column.images_per_s for column in recipe.published}
    sizes = [size for size in recipe.published[0].images_per_s]
    names = [*columns, *(f"{ratio.of}/{ratio.to}" for ratio in recipe.guide.ratios)]
    lines += ["", "|  | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for size in [*sizes, "best"]:
        figures = [f"{Decimal(str(max(r.values()) if size == 'best' else r[size]))}" for r in columns.values()]
        stated = [ratio.stated.get(size, "") for ratio in recipe.guide.ratios]
        lines.append("| " + " | ".join(["最优batch" if size == "best" else f"bs{size}", *figures, *stated]) + " |")
    return "\n".join(lines)


@pytest.mark.parametrize("name", ["resnext50_32x4d", "seresnext101_32x4d", "spnasnet_100"])
def test_a_readme_with_a_guides_figures_has_the_guides_errors(name: str) -> None:
    recipe = load_recipe(name)
    wrong = [claim for claim in check_guide_text(name, print_guide(recipe)) if not claim.holds]
    expected = [claim for claim in check_claims(recipe) if not claim.holds and claim.kind in PRINTED]
    assert sorted((c.stated, c.correct, c.kind) for c in wrong) == sorted(
        (c.stated, c.correct, c.kind) for c in expected
    )
    assert expected


STEADY = replace(ORT, batch_ms={1: (30.0, 28.0, 32.0, 30.0), 4: (118.0, 120.0, 122.0, 120.0)})


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("ships", [(TORCH, BF16, INT8), (TORCH, STEADY)], ids=["three", "two"])
def test_our_own_guide_has_no_error(tmp_path: Path, ships: tuple[object, ...], language: str) -> None:
    folder = build_run(tmp_path, Trial(ships=ships, trained=True))  # type: ignore[arg-type]
    claims = check_guide_text("guide", write_form(read_run(folder), "guide", language))
    assert [claim for claim in claims if not claim.holds] == []
    # Three rows: for each engine the best one, for each but the reference three ratios.
    assert len([claim for claim in claims if "/" in claim.what]) == 3 * (len(ships) - 1)
    assert len([claim for claim in claims if "最优batch" in claim.what and "/" not in claim.what]) == len(ships)


def check(text: str) -> list[tuple[str, str, str, bool]]:
    return [(c.what, c.stated, c.correct, c.holds) for c in check_guide_text("g", text)]


@pytest.mark.parametrize(
    ("text", "stated", "correct", "holds"),
    [
        ("Interface throughputRate: 210.306 * 4 = 841.224 即是", "841.224", "841.224", True),
        ("吞吐率：101.129x4=404.516fps", "404.516", "404.516", True),
        ("batch4 310: 1311.7 * 4 = 2712.568 fps", "2712.568", "5246.8", False),
        ("1000 / (4.43787 / 4) = 895.11", "895.11", "901.33", False),
        (
            "throughput 1000*batchsize(16)/NPU_compute_time.mean(21.94005001068115): 729.2599603105127",
            "729.2599603105127",
            "729.2599603105127",
            True,
        ),
        ("throughput 1000*batchsize.mean(8)/NPU_compute_time.mean(4.0): 1999", "1999", "2000", False),
    ],
)
def test_equations_in_the_text_are_worked_out(text: str, stated: str, correct: str, holds: bool) -> None:
    ((_, *found),) = check(text)
    assert found == [stated, correct, holds]


@pytest.mark.parametrize(
    "text", ["--input_shape=1", "2022-12-14", "a=1*2", "x = 3", "torch==2.15.0", "2 * = 4", "1/0 = 3"]
)
def test_what_is_no_equation_is_passed_over(text: str) -> None:
    assert check(text) == []


def test_a_ratio_is_that_of_the_printed_figures() -> None:
    table = "| | a | b | a/b |\n|---|---|---|---|\n| bs1 | 2.000 | 3 | {} |\n"
    ratios = {"0.667": True, "0.666": False, "0.67": True, "1": True, "-": None, "0.6666": False}
    for ratio, holds in ratios.items():
        assert [c[3] for c in check(table.format(ratio))] == ([] if holds is None else [holds])


def test_a_wrong_best_row_and_a_title_used_twice_are_found() -> None:
    table = (
        "| Batch | T4 | T4 |\n| :-: | ---: | --- |\n| 1 | 1,000.5 | 3 |\n| bs4 | 900 | **5** |\n| best | 900 | 5 |\n"
    )
    assert check(table) == [
        ("T4, best", "900", "1001", False),
        ("in a table", "two columns T4", "a name for each", False),
        ("T4, best", "5", "5", True),
    ]


def test_training_that_scales_better_than_it_can_is_found() -> None:
    table = "| NAME | Acc@1 | FPS |\n|---|---|---|\n| 1p-NPU | - | 1259.591 |\n| 8p-NPU | 76.702 | 11898.83 |\n"
    ((what, _, correct, holds),) = check(table)
    assert (what, correct, holds) == ("training on NPU: 8 cards over one", "9.447 times, 118.1 % of linear", False)


def test_cells_may_hold_escaped_bars_and_rows_may_be_short() -> None:
    (table,) = read_tables("x\n| a \\| b | c |\n|---|---|\n| 1 | 2 |\n| 3 |\n\n| no table |")
    assert (table.header, table.rows) == (("a | b", "c"), (("1", "2"),))


def test_the_verb_checks_a_readme(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "README.md"
    path.write_text("1311.7 * 4 = 2712.568\n2 * 2 = 4\n")
    assert run_cli(["recipes", "claims", str(path)]) == 0
    out = capsys.readouterr().out
    assert "stated 2712.568; right: 5246.8" in out and out.endswith("1 of 2 recomputed figures are right\n")
    path.write_text("Nothing.\n")
    assert run_cli(["recipes", "claims", str(path)]) == 0
    assert capsys.readouterr().out == f"{path} has no published figures or guide to check\n"


def test_a_readme_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "x.md").write_bytes(b"\xff\xfe\xfa")
    for name in ("missing.md", "x.md"):
        with pytest.raises(UsageError, match="cannot be read"):
            check_guide_file(tmp_path / name)
