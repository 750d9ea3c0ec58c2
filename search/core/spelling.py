"""Finds words that are written almost like another one: with other accents, or with a slip of the hand.

`fold_word` writes a word without accents and umlauts, so that `senora` and `señora`, `Waschkueche` and `Waschküche` have one
key. A slip is a letter that is missing, too many, another one, or one that has changed places with its neighbour. A word
with few slips still begins or ends as it should: so `piece_size` letters of either end are enough to look for it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

from search.core.letters import match_letters
from search.core.lexemes import RUN

SHORTEST = 4  # letters; of shorter ones too many are alike
LONGEST = 40
ONE_SLIP = range(SHORTEST, 9)  # letters of a word that has one slip at most; a longer one has two

_SINGLE = str.maketrans(
    {
        "\u0131": "i",
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "æ": "ae",
        "œ": "oe",
        "ß": "ss",
    }
)
_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_DIGRAPHS = re.compile("ae|oe|ue|aa")


def iter_spelled(text: str) -> Iterator[str]:
    """Yields the words of a text that can be misspelt, in lower case, each once."""
    for word in set(match_letters(text).findall(text.lower())):
        if SHORTEST <= len(word) <= LONGEST and (word.isascii() or _has_letters(word)):
            yield word


def _has_letters(word: str) -> bool:
    """Whether enough of it are letters, and of a script with spaces between words."""
    return not RUN.search(word) and (word.isalpha() or len(_strip_accents(word)) >= SHORTEST)


def is_spelled(word: str) -> bool:
    """Whether it is one word of letters, of a length that can be misspelt."""
    return next(iter_spelled(word), "") == word


@lru_cache(8_192)
def fold_word(word: str) -> str:
    """Returns the key that a word shares with all that differ from it by accents alone."""
    return _DIGRAPHS.sub(lambda match: match.group()[0], _strip_accents(word))


def is_same_word(one: str, other: str) -> bool:
    """Whether two words differ by accents alone, `ü` and `ue` among them. `pot` and `poet` do not, though they have one key."""
    ways = {_strip_accents(one), _strip_accents(one.translate(_GERMAN))}
    return not ways.isdisjoint({_strip_accents(other), _strip_accents(other.translate(_GERMAN))})


def _strip_accents(word: str) -> str:
    if word.isascii():
        return word
    apart = unicodedata.normalize("NFKD", word.translate(_SINGLE))
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def most_slips(folded: str) -> int:
    return 1 if len(folded) in ONE_SLIP else 2


def piece_size(folded: str) -> int:
    """Returns how many letters of its beginning, or of its end, a word has that was meant. Two neighbours in its middle
    may have changed places."""
    most = most_slips(folded)
    return max(2, (len(folded) - 1) // 2 if most == 1 else len(folded) // (most + 1))


def rank_alike(word: str, candidates: Iterable[str]) -> dict[str, int]:
    """Returns those of the candidates that are this word but for a slip or two, each with how many. Accents count for
    nothing."""
    asked = _strip_accents(word)
    most, bits = most_slips(asked), _mask_letters(asked)
    found = {}
    for candidate in set(candidates) - {word}:
        bare = _strip_accents(candidate)
        if (_mask_letters(bare) ^ bits).bit_count() <= 2 * most:
            slips = count_slips(asked, bare, most)
            if slips <= most:
                found[candidate] = slips
    return found


def count_slips(one: str, other: str, most: int) -> int:
    """Returns the least number of slips between two words, or `most` + 1 where there are more (Damerau 1964; each letter
    takes part in one slip)."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    last = list(range(len(other) + 1))
    for n, letter in enumerate(one, 1):
        row = [n]
        for m, there in enumerate(other, 1):
            cost = min(last[m] + 1, row[m - 1] + 1, last[m - 1] + (letter != there))
            if n > 1 and m > 1 and letter == other[m - 2] and one[n - 2] == there:
                cost = min(cost, before[m - 2] + 1)
            row.append(cost)
        if min(row) > most and min(last) > most:
            return most + 1
        before, last = last, row
    return min(last[-1], most + 1)


def _mask_letters(word: str) -> int:
    mask = 0
    for letter in word:
        mask |= 1 << (ord(letter) & 31)
    return mask
