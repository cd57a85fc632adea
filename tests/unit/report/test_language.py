"""Every phrase of the report is in every catalogue, with the same fields, and a catalogue has nothing else."""

import pytest

from seatrial.errors import UsageError
from seatrial.report.language import ENGLISH, LANGUAGES, find_language, read_catalogue, say, speaking
from spoken_phrases import find_fields, list_phrases

OTHERS = [code for code in LANGUAGES if code != ENGLISH]
PHRASES = dict(list_phrases())


@pytest.mark.parametrize("language", OTHERS)
def test_a_catalogue_is_complete_and_holds_nothing_that_is_not_said(language: str) -> None:
    catalogue = read_catalogue(language)
    assert [(phrase, place) for phrase, place in PHRASES.items() if phrase not in catalogue] == []
    assert [phrase for phrase in catalogue if phrase not in PHRASES] == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_fields_of_its_phrase(language: str) -> None:
    catalogue = read_catalogue(language)
    assert [p for p, said in catalogue.items() if find_fields(p) != find_fields(said) or not said.strip()] == []


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
