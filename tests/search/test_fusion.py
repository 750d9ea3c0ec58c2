"""Two lists become one, and meaning buries nothing that words prove."""

from __future__ import annotations

from search.core.fusion import Matched, MeaningHit, WordsHit, fuse
from search.core.terms import Proof


def near(*text_ids: int) -> list[MeaningHit]:
    return [MeaningHit(text_id, text_id * 10, 0.5) for text_id in text_ids]


def test_a_sure_hit_stays_first_whatever_meaning_likes() -> None:
    words = [WordsHit(7, 70, 1.0, Proof.SURE), WordsHit(8, 80, 0.4, Proof.NONE)]
    fused = fuse(words, near(8, 9, 10))
    assert [each.text_id for each in fused][:2] == [7, 8]
    assert [each.matched for each in fused] == [
        Matched.WORDS,
        Matched.BOTH,
        Matched.MEANING,
        Matched.MEANING,
    ]


def test_what_a_slip_hides_stands_between_what_words_prove_and_what_meaning_likes() -> None:
    words = [WordsHit(7, 70, 0.7, Proof.LIKELY), WordsHit(8, 80, 0.6, Proof.SURE)]
    assert [each.text_id for each in fuse(words, near(9, 10))] == [8, 7, 9, 10]


def test_what_holds_the_names_of_a_question_stands_above_what_meaning_likes() -> None:
    words = [WordsHit(7, 70, 0.3, Proof.NAMED), WordsHit(8, 80, 0.9, Proof.LIKELY)]
    assert [each.text_id for each in fuse(words, near(9, 10), unmeant={7})] == [8, 7, 9, 10]


def test_words_that_found_little_do_not_outvote_meaning() -> None:
    fused = fuse([WordsHit(1, 10, 0.1, Proof.NONE)], near(2, 3))
    assert [each.text_id for each in fused] == [2, 3, 1]


def test_what_has_no_vector_yet_is_not_buried() -> None:
    words = [WordsHit(1, 10, 0.8, Proof.NONE), WordsHit(2, 20, 0.6, Proof.NONE)]
    assert [each.text_id for each in fuse(words, near(3, 4, 5), unmeant={1})] == [1, 3, 4, 5, 2]


def test_scores_fall_and_equal_ones_have_an_order() -> None:
    fused = fuse([], near(5, 4))
    assert [each.score for each in fused] == sorted((each.score for each in fused), reverse=True)
    assert fuse([WordsHit(2, 1, 0.5, Proof.NONE)], []) == fuse(
        [WordsHit(2, 1, 0.5, Proof.NONE)], []
    )


def test_the_chunk_that_holds_the_words_is_shown() -> None:
    [both] = fuse([WordsHit(1, 11, 0.5, Proof.NONE)], [MeaningHit(1, 12, 0.9)])
    assert (both.chunk_id, both.matched) == (11, Matched.BOTH)
