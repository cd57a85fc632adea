"""Every phrase of the report is in every catalogue, with the same fields, and a catalogue has nothing else."""

import pytest

from seatrial.errors import UsageError
from seatrial.report.language import ENGLISH, LANGUAGES, SAID, find_language, read_groups, retell, say, speaking
from spoken_phrases import find_fields, list_phrases

OTHERS = [code for code in LANGUAGES if code != ENGLISH]
PHRASES = dict(list_phrases())


@pytest.mark.parametrize("language", OTHERS)
def test_a_catalogue_is_complete_and_holds_nothing_that_is_not_said(language: str) -> None:
    said = read_groups(language)[SAID]
    assert [(phrase, place) for phrase, place in PHRASES.items() if phrase not in said] == []
    assert [phrase for phrase in said if phrase not in PHRASES] == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_fields_of_its_phrase(language: str) -> None:
    pairs = [pair for group in read_groups(language).values() for pair in group.items()]
    assert [p for p, said in pairs if find_fields(p) != find_fields(said) or not said.strip()] == []


def test_phrases_are_found_in_every_part_of_the_report() -> None:
    assert len(PHRASES) > 100 and len({place for _, place in list_phrases()}) >= 6


def test_a_phrase_is_said_in_the_language_of_the_block() -> None:
    assert say("Verdict: {outcome}.", outcome="PASS") == "Verdict: PASS."
    with speaking("zh"):
        assert (find_language(), say("Verdict: {outcome}.", outcome="PASS")) == ("zh", "验收结论：PASS。")
    assert find_language() == "en"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no language 'de'"), speaking("de"):
        pass


def test_braces_in_a_field_stay_text() -> None:
    assert say("Verdict: {outcome}.", outcome="{x} {0}") == "Verdict: {x} {0}."


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("PASS: a and b keep the accuracy of c on 1,000 images.", "PASS：a 和 b 在 1,000 张图片上保持了 c 的精度。"),
        (
            "FAIL: a falls short of the required accuracy; b passes every gate.",
            "FAIL：a 未达到精度要求；b 通过全部门限。",
        ),
        (
            "The fastest engine is a: 12.5 images/s at batch size 4, 2.00 × b.",
            "最快的引擎是 a：12.5 images/s，batch size 4，为 b 的 2.00 倍。",
        ),
        (
            "Measured as the fastest that does not fail is a: 12.5 images/s at batch size 4 on 2 streams, 2.00 × b; "
            "it cannot be told from b and c, as their intervals overlap.",
            "未判 FAIL 的引擎中实测最快的是 a：12.5 images/s，batch size 4（2 个流），为 b 的 2.00 倍；"
            "但与 b 和 c 无法区分：区间重叠。",
        ),
        ("0.00 (−0.55 to 0.55)", "0.00（−0.55 至 0.55）"),
        ("bf16 (54 of 57 layers)", "bf16（57 层中的 54 层）"),
        ("Nobody wrote this down.", "Nobody wrote this down."),
        ("an image to which two engines give different first classes", "两个引擎给出不同首选类别的图片"),
        ("{n} {", "{n} {"),
        ("下降:", "下降："),
        ("最佳 batch size.", "最佳 batch size。"),
        ("torch.", "torch."),
        (
            "a: other processes used 8% of the processors while it was measured; "
            "b: other processes used 7 to 9% of the processors while it was measured",
            "a：测量时其他进程占用了处理器的 8%；b：测量时其他进程占用了处理器的 7 至 9%",
        ),
        (
            "a, b and c: other processes used 7 to 9% of the processors while it was measured",
            "a、b 和 c：测量时其他进程占用了处理器的 7 至 9%",
        ),
        ("a and b at batch 1, 4; c at batch 8", "a 和 b，batch 1, 4；c，batch 8"),
        ("Every gate is met. A gate is a limit that the recipe sets.", "所有门限均已满足。门限是卡片规定的限值。"),
    ],
)
def test_a_finished_sentence_is_retold_with_its_figures(text: str, told: str) -> None:
    assert retell(text) == text
    with speaking("zh"):
        assert retell(text) == told


def test_a_long_text_of_many_joints_takes_no_time() -> None:
    hostile = "the ranking of " + "a at batch 1, the ranking of " * 20_000
    with speaking("zh"):
        assert retell(hostile) == hostile
