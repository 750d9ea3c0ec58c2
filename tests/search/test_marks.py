"""A snippet is a run of the text, and its highlights are where the words of the question stand in it."""

from __future__ import annotations

import pytest

from search.core.marks import SNIPPET_MAX, Snippet, WantedWords, cut_snippet, has_phrase


def wanted(*words: str, phrases: tuple[str, ...] = ()) -> WantedWords:
    return WantedWords(dict.fromkeys(words, 1.0), {}, phrases)


def marked(snippet: Snippet) -> list[str]:
    return [snippet.text[start:end] for start, end in snippet.highlights]


@pytest.mark.parametrize(
    ("body", "words", "found"),
    [
        ("The Lieferfrist is short", ["lieferfrist"], ["Lieferfrist"]),
        ("see 'ÜBER uns' now", ["über"], ["ÜBER"]),
        ("emoji 🙂 before needle", ["needle"], ["needle"]),
        ("set idle_in_transaction_timeout to 1", ["idle_in_transaction_timeout"], ["idle_in_transaction_timeout"]),
        ("class HeaderMismatch(Error)", ["mismatch"], ["Mismatch"]),
        ("serial V-1138, part", ["v-1138"], ["V-1138"]),
        ("a deposit of 27,300 EUR, or 23'975.00", ["27300", "23975.00"], ["27,300", "23'975.00"]),
        ("<b>bold</b> & bold", ["bold"], ["bold", "bold"]),
        ("שלום עולם", ["עולם"], ["עולם"]),
        ("needles are no match", ["needle"], []),
        ("यह हिन्दी भाषा की किताब है।", ["हिन्दी", "की", "है"], ["हिन्दी", "की", "है"]),
        ("हिन्दी-भाषा", ["हिन्दी-भाषा"], ["हिन्दी-भाषा"]),
        ("الكِتَابُ هنا", ["الكِتَابُ"], ["الكِتَابُ"]),
        ("نمی\u200cشود", ["نمی\u200cشود"], ["نمی\u200cشود"]),
        ("im Cafe\u0301, Cafe", ["café"], ["Cafe\u0301"]),
        ("im Café, Cafe", ["cafe"], ["Cafe"]),
        ("\u1112\u1161\u11ab\u1100\u1173\u11af", ["한글"], ["\u1112\u1161\u11ab\u1100\u1173\u11af"]),
        ("a\u030a \u30c8\u3099\u30a2 ok", ["ドア", "ok"], ["\u30c8\u3099\u30a2", "ok"]),
    ],
)  # fmt: skip
def test_words_are_marked_where_they_stand(body: str, words: list[str], found: list[str]) -> None:
    snippet = cut_snippet(body, wanted(*words))
    assert snippet.text == body
    assert marked(snippet) == found


def test_a_word_of_the_same_stem_is_marked() -> None:
    snippet = cut_snippet("Repairs of the roof", WantedWords({}, {"repairs": 1.0}, ()))
    assert marked(snippet) == ["Repairs"]


def test_a_phrase_is_marked_where_it_stands_whole() -> None:
    snippet = cut_snippet("fault of a page; a page\nfault", wanted(phrases=("page fault",)))
    assert marked(snippet) == ["page", "fault"]
    assert snippet.highlights[0][0] == 19


def test_control_characters_are_left_out_and_offsets_hold() -> None:
    snippet = cut_snippet("a\x07b\r\nneedle\tx\x85", wanted("needle"))
    assert snippet.text == "ab\nneedle\tx"
    assert marked(snippet) == ["needle"]


def test_a_long_text_shows_the_run_with_most_of_the_words_and_tells_its_line() -> None:
    lines = [f"line {n} of no interest at all, only filler text" for n in range(60)]
    lines[40] = "alpha stands here with beta"
    lines[3] = "alpha alone"
    body = "\n".join(lines)
    snippet = cut_snippet(body, wanted("alpha", "beta"))
    assert len(snippet.text) <= SNIPPET_MAX
    assert snippet.text in body
    assert marked(snippet) == ["alpha", "beta"]
    assert lines[snippet.line].startswith(snippet.text.splitlines()[0])


def test_without_marks_the_text_is_shown_from_its_begin() -> None:
    snippet = cut_snippet("\n\n  first words", wanted())
    assert (snippet.text, snippet.highlights, snippet.line) == ("first words", (), 2)


def test_marks_rise_and_do_not_overlap() -> None:
    body = "page page fault page-fault " * 30
    snippet = cut_snippet(body, wanted("page", "page-fault", phrases=("page fault",)))
    edges = [edge for pair in snippet.highlights for edge in pair]
    assert edges == sorted(edges)
    assert len(set(snippet.highlights)) == len(snippet.highlights)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("the page\n fault", True),
        ("page, fault", True),
        ("page of fault", False),
        ("fault page", False),
        ("homepage fault", False),
        ("PAGE FAULTS", False),
    ],
)
def test_a_phrase_is_its_words_side_by_side(text: str, *, holds: bool) -> None:
    assert has_phrase(text, "page fault") is holds


def test_a_phrase_is_its_words_however_they_are_hyphenated() -> None:
    body = "the file has been un\u2010\n      linked or re\u00adnamed <since>"
    assert has_phrase(body, "been unlinked or renamed since")
    assert not has_phrase(body, "unlinked renamed")
    assert marked(cut_snippet(body, wanted(phrases=("unlinked or",)))) == ["un", "linked", "or"]


@pytest.mark.parametrize(
    ("text", "phrase", "words"),
    [
        ("यह हिन्दी में है", "हिन्दी में", ["हिन्दी", "में"]),
        ("यह हिन्दीं में है", "हिन्दी में", []),
        ("यह हिन्दी मेंं है", "हिन्दी में", []),
        ("किताब", "ताब", []),
        ("x\u030c y and x y", "x y", ["x", "y"]),
        (
            "La Sen\u0303ora  Iba\u0301n\u0303ez",
            "señora ibáñez",
            ["Sen\u0303ora", "Iba\u0301n\u0303ez"],
        ),
        ("La Señora Ibáñez", "sen\u0303ora iba\u0301n\u0303ez", ["Señora", "Ibáñez"]),
        (
            "Ti\u00ea\u0301ng Vie\u0323\u0302t",
            "tiếng việt",
            ["Ti\u00ea\u0301ng", "Vie\u0323\u0302t"],
        ),
        ("a\u030a \u30c8\u3099\u30a2", "ドア", ["\u30c8\u3099\u30a2"]),
    ],
)
def test_a_phrase_is_known_in_any_form_and_ends_with_its_marks(
    text: str, phrase: str, words: list[str]
) -> None:
    assert has_phrase(text, phrase) is bool(words)
    snippet = cut_snippet(text, wanted(phrases=(phrase,)))
    assert snippet.text == text
    assert marked(snippet) == words
