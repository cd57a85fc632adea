"""The guides' tables from their raw figures; the ratios were worked out by hand in test_claims."""

from pathlib import Path

import pytest

from seatrial.cli import run_cli
from seatrial.recipes import load_recipe
from seatrial.recipes.claims import GuideTable, rebuild_table
from seatrial.recipes.load import find_card

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results" / "guide-tables.txt"
SPNASNET = """\
|           | 310      | 310P    | T4        | 310P/310    | 310P/T4     |
| --------- | -------- | ------- | --------- | ----------- | ----------- |
| bs1       | 2712.568 | 1743.58 | 1766.07   | 0.642778356 | 0.98726551  |
| bs4       | 5246.8   | 5244.27 | 1911.5    | 0.999517801 | 2.74353649  |
| bs8       | 5404.56  | 7196.11 | 2671.032  | 1.331488595 | 2.694130958 |
| bs16      | 5675.8   | 6367.69 | 4347.904  | 1.121901758 | 1.464542455 |
| bs32      | 5279.8   | 5872.96 | 4118.944  | 1.112345165 | 1.425841186 |
| bs64      | 5051.48  | 4873.73 | 2299.0784 | 0.964812293 | 2.119862463 |
| 最优batch | 5675.8   | 7196.11 | 4347.904  | 1.267858275 | 1.655075641 |
"""
"""As the guide's README prints it, to the byte."""


def rebuild(name: str) -> GuideTable:
    table = rebuild_table(load_recipe(name))
    assert table is not None
    return table


def test_a_guides_table_is_rebuilt_to_the_byte(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["recipes", "tables", "spnasnet_100", "--format", "guide"]) == 0
    assert capsys.readouterr().out.partition("\n\n")[2] == SPNASNET


def test_senet_is_given_per_card() -> None:
    ratio = rebuild("seresnext101_32x4d").ratios[0]
    assert (ratio.of, ratio.to, ratio.printed["best"]) == ("310P", "310", "4.012")
    assert round(ratio.exact["best"], 3) == round(4 * ratio.right["best"], 3)
    assert f"{ratio.right['best']:.3f}" == "1.003"
    assert ratio.wrong == {"1", "4", "8", "16", "32", "64", "best"}
    assert [column.of_one_chip for column in rebuild("seresnext101_32x4d").columns] == [True, False, False]


def test_resnexts_seven_truncated_ratios_are_marked() -> None:
    of_310, of_t4 = rebuild("resnext50_32x4d").ratios
    assert of_310.wrong == {"1", "4", "8", "64"}
    assert of_t4.wrong == {"4", "16", "best"}
    assert of_310.exact == of_310.right


def test_a_wrong_figure_spoils_its_ratio() -> None:
    of_310, of_t4 = rebuild("sk_resnet50").ratios
    assert (of_310.wrong, of_t4.wrong) == (set(), {"4"})
    assert rebuild("spnasnet_100").ratios[0].wrong == set()


def test_a_card_without_ratios_has_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rebuild_table(load_recipe("resnet50")) is None
    card = find_card("resnet50").read_text().partition("[guide]")[0]
    (tmp_path / "card.toml").write_text(card)
    assert run_cli(["recipes", "tables", str(tmp_path / "card.toml")]) == 0
    assert capsys.readouterr().out.endswith("card.toml has no guide that prints ratios or training results\n")


def test_the_stored_result_is_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["recipes", "tables"]) == 0
    printed = capsys.readouterr().out
    assert printed == RESULTS.read_text(encoding="utf-8")
    assert printed.count("✗\n") + printed.count("✗ ") >= 18
    assert "best       225.18  789.784  903.506     4.012  4.012 ✗  1.003    1.144  1.144\n" in printed


def test_markdown_and_json_tell_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    assert run_cli(["recipes", "tables", "resnext50_32x4d", "--format", "markdown"]) == 0
    assert "| best | 4012.15 | 1451.07 | 2070.524 | 1.9377 | 1.9377 | 2.7650 | 2.7649 ✗ |" in capsys.readouterr().out
    assert run_cli(["recipes", "tables", "resnext50_32x4d", "--json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    assert table["ratios"][1]["right"]["best"] == pytest.approx(4012.15 / 1451.07, rel=1e-15)
    assert table["findings"][-1]["kind"] == "scope"
