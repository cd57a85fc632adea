"""What the guides got wrong, with the figures worked out by hand in the comments of each case."""

from collections import Counter
from typing import Any

import pytest

from seatrial.errors import UsageError
from seatrial.recipes import Recipe, list_cards, load_recipe
from seatrial.recipes.claims import Claim, check_claims


def wrong(name: str, *kinds: str) -> dict[str, tuple[str, str]]:
    claims = check_claims(load_recipe(name))
    return {c.what: (c.stated, c.correct) for c in claims if not c.holds and c.kind in kinds}


def find(name: str, what: str) -> Claim:
    return next(claim for claim in check_claims(load_recipe(name)) if claim.what == what)


def test_resnext_truncated_seven_ratios() -> None:
    assert wrong("resnext50_32x4d", "rounding", "arithmetic", "inherited") == {
        "310P / 310, batch 1": ("2.1982", "2.1983"),  # 1413.46 / 642.98 = 2.198296
        "310P / 310, batch 4": ("2.3125", "2.3126"),  # 2886.57 / 1248.2 = 2.312586
        "310P / 310, batch 8": ("2.2884", "2.2885"),  # 3503.03 / 1530.728 = 2.288473
        "310P / 310, batch 64": ("1.3305", "1.3306"),  # 1985.7 / 1492.348 = 1.330588
        "310P / T4, batch 4": ("2.8069", "2.8070"),  # 2886.57 / 1028.36 = 2.806964
        "310P / T4, batch 16": ("3.0663", "3.0664"),  # 3861.76 / 1259.39 = 3.066373
        "310P / T4, best": ("2.7649", "2.7650"),  # 4012.15 / 1451.07 = 2.764960
    }
    assert find("resnext50_32x4d", "310P / T4, best").note == "truncated, not rounded"


def test_senet_truncated_one_ratio() -> None:
    # 729.260 / 225.180 = 3.238565
    assert wrong("seresnext101_32x4d", "rounding", "arithmetic", "inherited") == {
        "310P / 310, batch 16": ("3.238", "3.239")
    }


def test_senet_sets_a_card_against_a_chip() -> None:
    # 903.506 / (4 × 225.180) = 1.003093, where the guide has 4.012.
    claim = find("seresnext101_32x4d", "310P / 310, best, per card")
    assert (claim.stated, claim.correct, claim.kind, claim.holds) == ("4.012", "1.003", "scope", False)
    per_card = find("seresnext101_32x4d", "310P / 310 per card, every batch").correct
    # 529.115 / 728.896, 815.805 / 873.604, 729.260 / 900.72, 419.361 / 888.468, 603.140 / 895.372
    assert per_card == (
        "0.7259 at batch 1, 0.9338 at batch 8, 0.8096 at batch 16, 0.4720 at batch 32, 0.6736 at batch 64"
    )


def test_senet_aims_at_another_network() -> None:
    assert wrong("seresnext101_32x4d", "accuracy") == {
        "the top-1 to reach is that of seresnext101_32x4d": (
            "78.26 %",
            "top-1 of SE-ResNet-101; see https://github.com/open-mmlab/mmpretrain/tree/v0.23.0/configs/seresnet",
        )
    }


def test_senet_log_and_error_hold() -> None:
    # 16000 / 21.94005001068115 = 729.25996031051273…; 0.02 / 78.26 = 0.000256
    held = [c for c in check_claims(load_recipe("seresnext101_32x4d")) if " = " in c.what]
    assert [(c.stated, c.holds) for c in held] == [("729.2599603105127", True), ("729.26", True), ("0.0003", True)]


def test_spnasnet_copied_a_line() -> None:
    assert wrong("spnasnet_100", "arithmetic", "rounding", "inherited") == {
        "310, batch 4: 1311.7 * 4 = 2712.568": ("2712.568", "5246.8")
    }
    assert find("spnasnet_100", "310, batch 4, in the table").holds


def test_spnasnet_is_slower_than_the_310_at_three_batches() -> None:
    claim = find("spnasnet_100", "310P / 310 per card, every batch")
    assert claim.correct == "0.6428 at batch 1, 0.9995 at batch 4, 0.9648 at batch 64"
    assert claim.note == "the guide judges the best batch only"
    # All 14 printed ratios follow from the columns.
    ratios = [c for c in check_claims(load_recipe("spnasnet_100")) if c.what.startswith("310P / ") and ", b" in c.what]
    assert sum(c.holds for c in ratios if c.kind == "arithmetic") == 14


def test_spnasnet_times_the_t4_otherwise() -> None:
    assert find("spnasnet_100", "310P / T4 are timed alike").correct == "device time against host time"


def test_sknet_miscounted_the_t4_once_and_the_ratio_followed() -> None:
    assert wrong("sk_resnet50", "arithmetic", "inherited", "rounding") == {
        "T4, earlier, batch 4: 1000 / (4.43787 / 4) = 895.11": ("895.11", "901.33"),  # 4000 / 4.43787 = 901.3333
        "310P, earlier / T4, earlier, batch 4": ("2.303806236", "2.287907869"),  # 2062.16 / 901.33
    }
    assert find("sk_resnet50", "310P, earlier / 310, earlier per card, every batch").holds


def test_resnext_misses_its_threshold_at_one_batch() -> None:
    best = find("resnext50_32x4d", "310P / T4 per card, best against best")
    assert (best.stated, best.correct, best.holds) == ("at least 1.6", "2.765", True)
    every = find("resnext50_32x4d", "310P / T4 per card, every batch")
    assert (every.correct, every.kind, every.holds) == ("1.3684 at batch 64", "scope", False)
    assert find("resnext50_32x4d", "310P / 310 per card, every batch").correct == "no less than 1.3306 at batch 64"


def test_resnet50_scales_better_than_it_can() -> None:
    # 14268 / 2065 = 6.9094 and 11898.83 / 1259.591 = 9.4466 with eight cards.
    claims = [c for c in check_claims(load_recipe("resnet50")) if c.kind == "scaling"]
    assert [(c.correct, c.holds) for c in claims] == [
        ("6.909 times, 86.4 % of linear", True),
        ("9.447 times, 118.1 % of linear", False),
    ]
    assert claims[1].note.endswith("(batch 512 and 4096)")


def test_errors_in_the_text_are_listed() -> None:
    texts = {name: [c.stated for c in check_claims(load_recipe(name)) if c.kind == "text"] for name in list_cards()}
    assert any("YOLOF" in t for t in texts["sk_resnet50"])
    assert sum(t.startswith("batch") for t in texts["spnasnet_100"]) == 3
    assert any("numpy 1.23.2" in t for t in texts["seresnext101_32x4d"])
    assert any("3 x 256 x 256" in t for t in texts["resnet50"])
    assert any("710" in t for t in texts["resnext50_32x4d"])


def test_what_holds_is_counted_too() -> None:
    counted = {}
    for name in list_cards():
        claims = [c for c in check_claims(load_recipe(name)) if c.recomputed]
        counted[name] = (sum(c.holds for c in claims), len(claims))
    assert counted == {
        "resnet50": (1, 2),
        "resnext50_32x4d": (15, 23),
        "seresnext101_32x4d": (21, 26),
        "sk_resnet50": (24, 26),
        "spnasnet_100": (33, 37),
    }
    figures = [c for name in list_cards() for c in check_claims(load_recipe(name)) if not c.holds]
    assert Counter(c.kind for c in figures if c.recomputed) == {
        "rounding": 8,
        "scope": 7,
        "arithmetic": 2,
        "inherited": 1,
        "scaling": 1,
        "accuracy": 1,
    }


def tiny(**changes: Any) -> Recipe:
    steps = [{"step": "resize", "size": [8, 8]}, {"step": "to_float"}]
    data = {"name": "tiny", "title": "t", "network": {"name": "n", "classes": 2}, "preprocess": steps, **changes}
    return Recipe.read(data, "tiny")


def guide(**content: Any) -> dict[str, Any]:
    return {"title": "g", "source": "https://example.org", **content}


def test_a_card_without_a_guide_claims_nothing() -> None:
    assert check_claims(tiny()) == ()


@pytest.mark.parametrize(
    ("equation", "correct", "kind", "holds"),
    [
        ("1 / 8 = 0.13", "0.13", "arithmetic", True),  # half up, where half even and binary floats give 0.12
        ("1 / 8 = 0.12", "0.13", "rounding", False),
        ("2 / 3 = 0.666", "0.667", "rounding", False),
        ("2 / 3 = 0.668", "0.667", "arithmetic", False),
        ("-(3 - 5) * 2 + 1 = 5", "5", "arithmetic", True),
        ("0.1 + 0.2 = 0.3", "0.3", "arithmetic", True),
        ("10 * 10 = 101", "100", "arithmetic", False),
    ],
)
def test_sums_are_exact_and_rounded_half_up(equation: str, correct: str, kind: str, holds: bool) -> None:
    (claim,) = check_claims(tiny(guide=guide(sums={"a sum": equation})))
    assert (claim.correct, claim.kind, claim.holds) == (correct, kind, holds)


@pytest.mark.parametrize("equation", ["1 + = 2", "1 / 0 = 1", "2 ** 3 = 8", "() = 1", "1 // 2 = 0"])
def test_what_is_no_arithmetic_is_refused(equation: str) -> None:
    with pytest.raises(UsageError, match=r"tiny: guide.sums: .* is no arithmetic; write it as in"):
        check_claims(tiny(guide=guide(sums={"a sum": equation})))


def test_a_wrong_best_and_a_wrong_table_are_found() -> None:
    column = {
        "device": "x",
        "images_per_s": {"1": 10, "4": 39},
        "derivation": {"4": "10 * 4 = 40"},
        "best": "38",
        "source": "https://example.org",
    }
    found = {c.what: (c.stated, c.correct, c.holds) for c in check_claims(tiny(published=[column]))}
    assert found == {
        "x, batch 4: 10 * 4 = 40": ("40", "40", True),
        "x, batch 4, in the table": ("39", "40", False),
        "x, best (batch 4)": ("38", "39", False),
    }


def test_an_accuracy_below_its_target_does_not_hold() -> None:
    target = {"top1": 0.8, "relative_drop": 0.01, "source": "https://example.org"}
    rows = [{"device": "a", "top1": 0.792}, {"device": "b", "top1": 0.7919}]
    claims = check_claims(tiny(guide=guide(target=target, accuracy=rows)))
    assert [(c.stated, c.correct, c.holds) for c in claims] == [
        ("79.2 %", "at least 79.2 %", True),
        ("79.19 %", "at least 79.2 %", False),
    ]
