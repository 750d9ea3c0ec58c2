"""Takes apart what a person asked: words, phrases in quotes, and what a hit must not hold."""

from __future__ import annotations

import re
from dataclasses import dataclass

from search.core.lexemes import clean_signs, join_thousands

CHARACTERS_MAX = 1_000
WORDS_MAX = 40  # what is beyond adds nothing to a ranking

_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‟": '"'})
_PART = re.compile(r'(?P<minus>(?<!\S)-(?=["\w]))?(?:"(?P<phrase>[^"]*)"|(?P<word>[^\s"]+))')
_LETTER = re.compile(r"[^\W_]")
_WITHIN_NUMBER = re.compile("(?<=\\d)[\u00a0\u202f\u2009](?=\\d{3})")


class InvalidQuery(ValueError):
    """A text that cannot be asked; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`text` is the whole question. `words` are wished for; each of `phrases` is demanded; a hit holds none of `without`,
    which are words or phrases."""

    text: str
    words: tuple[str, ...]
    phrases: tuple[str, ...]
    without: tuple[str, ...]


def read_query(text: str) -> Asked:
    """Raises InvalidQuery."""
    text = check_query(text)
    words: list[str] = []
    phrases: list[str] = []
    without: list[str] = []
    for match in _PART.finditer(clean_signs(_WITHIN_NUMBER.sub("", text.translate(_QUOTES)))):
        phrase, word = match["phrase"], match["word"]
        part = (phrase if word is None else word).strip()
        if not _LETTER.search(part):
            continue  # punctuation names nothing
        if match["minus"]:
            without.append(part)
        elif word is None:
            phrases.append(part)
        else:
            words.append(part)
    return Asked(
        text,
        tuple(dict.fromkeys(join_thousands(words)))[:WORDS_MAX],
        tuple(dict.fromkeys(phrases)),
        tuple(dict.fromkeys(without)),
    )


def check_query(text: str) -> str:
    """Returns the text without the space around it. Raises InvalidQuery."""
    text = text.strip()
    if not text:
        raise InvalidQuery("Ask for something: the query is empty.")
    if len(text) > CHARACTERS_MAX:
        raise InvalidQuery(f"The query is longer than {CHARACTERS_MAX:,} characters: shorten it.")
    if "\0" in text:
        raise InvalidQuery("The query holds a NUL: leave it out.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidQuery("The query holds half a character: leave it out.") from None
    return text
