"""What a person asks is taken apart: words, phrases, exclusions."""

from __future__ import annotations

import pytest

from search.core.asking import InvalidQuery, read_query


def test_words_phrases_and_exclusions_are_told_apart() -> None:
    asked = read_query(' pump "page fault" -diesel -"old stock" V-1138 ')
    assert asked.words == ("pump", "V-1138")
    assert asked.phrases == ("page fault",)
    assert asked.without == ("diesel", "old stock")


def test_a_quote_without_an_end_is_a_word() -> None:
    assert read_query('say "hello world').words == ("say", "hello", "world")


def test_typographic_quotes_are_quotes() -> None:
    assert read_query("„freie Fahrt“ «au revoir»").phrases == ("freie Fahrt", "au revoir")


def test_a_number_with_spaces_between_its_thousands_is_one_word() -> None:
    assert read_query("meter 2 418 900 or 3 960,00").words == ("meter", "2418900", "or", "3960,00")
    assert read_query("rooms 12 345").words == ("rooms", "12", "345")


def test_punctuation_names_nothing() -> None:
    asked = read_query('\' | ! & ( "" - --')
    assert (asked.words, asked.phrases, asked.without) == ((), (), ())


@pytest.mark.parametrize("text", ["", "  ", "a" * 1_001, "a\0b", "half \ud800"])
def test_what_cannot_be_asked_is_refused(text: str) -> None:
    with pytest.raises(InvalidQuery):
        read_query(text)


def test_space_around_a_question_does_not_count() -> None:
    assert read_query(" " * 50 + "a" * 1_000).text == "a" * 1_000
