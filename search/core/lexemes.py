"""Which words of a chunk are indexed. The index and the question ask the same functions, so both mean the same words.

The tsvector `words` of a chunk holds, in this order:

1. each word of the body as it stands, in lower case: configuration `simple`. Their positions are those of the body,
   so a phrase is asked for with `<->` among these;
2. for each language of the workspace the stems of the body's words, such as those of configuration `english`;
3. the words of the heading, once by each of these configurations, with weight B. All others have weight D;
4. what `split_compounds` makes of the body and the heading, without positions: identifiers, serials, paths and
   addresses, both whole and in parts, and numbers without the signs between their thousands. PostgreSQL's own parser
   splits some of them and keeps others whole;
5. of scripts that put no space between words, each two characters that stand side by side (Chinese, Japanese, Korean),
   each three (Thai, Lao, Khmer, Burmese), and each Chinese character, again without positions.

The path of a file is not in it: one content may have many paths. What `split_path_words` makes of them, and the stems of
this, stands beside the content, in `TextPaths`.

The texts of 1 to 3 are those that `clean_signs` returns. All words are in the form NFC, whatever the text is in.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence
from functools import lru_cache

from search.core.letters import MARK, compose, match_words

SIMPLE = "simple"
DEFAULT_LANGUAGES = ("english",)
# The configurations with stems that PostgreSQL brings along.
KNOWN_LANGUAGES = (
    *("arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "estonian", "finnish", "french"),
    *("german", "greek", "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian", "nepali"),
    *("norwegian", "portuguese", "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish", "yiddish"),
)  # fmt: skip
LONGEST_WORD = 80  # characters; what is longer is no name that somebody types

# Words with single joiners between them.
_PLAIN_TOKEN = re.compile(r"[^\W_]+(?:[-_./:@+#][^\W_]+)*")
_TOKEN = re.compile(rf"[^\W_]+(?:(?:[-_./:@+#][^\W_]|{MARK})[^\W_]*)*")
_JOINER_SIGNS = "-_./:@+#"
_JOINERS = re.compile(f"[{_JOINER_SIGNS}]")
_SPACES = str.maketrans({sign: " " for sign in string.punctuation if not _JOINERS.match(sign)})
# `HTTPServer2` is HTTP, Server, 2. Other letters than these have no humps that mean anything.
_HUMPS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# Runs of letters of scripts without spaces: those of East Asia, whose characters tell much, and those of alphabets.
_HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_EAST = re.compile(
    rf"[{_HAN}\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uac00-\ud7a3\uff66-\uff9f]+"
)
_ALPHABETS = "\u0e01-\u0e3a\u0e40-\u0e5b\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff"
RUN = re.compile(rf"{_EAST.pattern}|[{_ALPHABETS}]+")
_ONE_HAN = re.compile(f"[{_HAN}]")
# Signs that the parser of PostgreSQL takes for letters in a database of locale C, where all beyond ASCII are letters:
# those of all scripts, then those of single ones, such as the full stops of Hindi and Arabic.
_SIGNS = re.compile(
    "[\u00a0-\u00a9\u00ab\u00ac\u00ae-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7\u2000-\u200b\u200e-\u206f\u20a0-\u20bf"
    "\u2190-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\ufe30-\ufe4f\ufeff\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
    "\u02c2-\u02c5\u02d2-\u02df\u02e5-\u02eb\u02ed\u02ef-\u02ff\u0375\u037e\u0384\u0385\u0387\u03f6\u0482\u055a-\u055f"
    "\u0589\u058a\u058d-\u058f\u05be\u05c0\u05c3\u05c6\u05f3\u05f4\u0606-\u060f\u061b\u061d-\u061f\u066a-\u066d\u06d4"
    "\u06de\u06e9\u06fd\u06fe\u0700-\u070d\u07f6-\u07f9\u07fe\u07ff\u0830-\u083e\u085e\u0888\u0964\u0965\u0970\u09f2"
    "\u09f3\u09fa\u09fb\u09fd\u0a76\u0af0\u0af1\u0b70\u0bf3-\u0bfa\u0c77\u0c7f\u0c84\u0d4f\u0d79\u0df4\u0e3f\u0e4f"
    "\u0e5a\u0e5b\u0f01-\u0f17\u0f1a-\u0f1f\u0f34\u0f36\u0f38\u0f3a-\u0f3d\u0f85\u0fbe-\u0fc5\u0fc7-\u0fcc\u0fce-\u0fda"
    "\u104a-\u104f\u109e\u109f\u10fb\u1360-\u1368\u1390-\u1399\u1400\u166d\u166e\u1680\u169b\u169c\u16eb-\u16ed\u1735"
    "\u1736\u17d4-\u17d6\u17d8-\u17db\u1800-\u180a\u1940\u1944\u1945\u19de-\u19ff\u1a1e\u1a1f\u1aa0-\u1aa6\u1aa8-\u1aad"
    "\u1b5a-\u1b6a\u1b74-\u1b7e\u1bfc-\u1bff\u1c3b-\u1c3f\u1c7e\u1c7f\u1cc0-\u1cc7\u1cd3\u1fbd\u1fbf-\u1fc1"
    "\u1fcd-\u1fcf\u1fdd-\u1fdf\u1fed-\u1fef\u1ffd\u1ffe]"
)
_BRACKETS = str.maketrans("<>", "  ")
# Where a word was hyphenated: at the end of a line, or where it could have been.
HYPHEN = "(?<=[^\\W\\d_])(?:\u00ad|\u2010)\\s*\n\\s*(?=[^\\W\\d_])|\u00ad"
_HYPHENATED = re.compile(HYPHEN)
# A number with signs between its thousands, or with a decimal comma. Spaces stand between thousands where there are two of
# them at least, or decimals behind: `12 345` may be two numbers.
# It begins with one digit in either case, which makes the search for it four times as fast. Digits without end are no
# number: each of them would be looked for a comma to their end.
_NUMBER = re.compile(
    r"\d(?:(?<!\d\d)\d{0,2}(?: \d{3}(?: \d{3}){1,3}(?!,?\d| \d{3})|(?: \d{3}){1,4},\d\d?(?!\d))"
    r"|\d{0,2}(?:[.,'\u2019\u00a0\u202f\u2009]\d{3})+(?:[.,]\d{1,4})?|\d{0,14},\d\d?)"
)
_NUMBER_SIGNS = re.compile(r"[.,'\u2019\u00a0\u202f\u2009 ]")
_ENDS_IN_NUMBER = re.compile(r"\d $")
# A version or an address: without its dots it would be another number.
_DOTTED = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_JOINED = ("_", ".", ",", "-", "/")


def split_compounds(text: str) -> set[str]:
    """Returns the words of `text` that are made of several: each whole, without its joiners, and in parts, all in
    lower case. `idle_in_transaction`, `HeaderMismatch` and `V-1138` are such words; `timeout` is none. With them the
    parts of runs without spaces, and plain numbers."""
    return set(iter_plain_numbers(text)).union(*map(split_token, split_at_signs(text)))


def split_at_signs(text: str) -> set[str]:
    """Returns what stands between spaces and signs that join nothing."""
    return set(compose(text).translate(_SPACES).split())


def split_token(token: str) -> set[str]:
    """Returns what `split_compounds` does, numbers aside."""
    if _is_plain(token.strip(_JOINER_SIGNS)):
        return set()
    found: set[str] = set()
    if not token.isascii():
        found.update(part for run in set(RUN.findall(token)) for _, part in list_parts(run))
        token = token.replace("\u2011", "-")  # one that does not break
    for word in (_PLAIN_TOKEN if token.isascii() else _TOKEN).findall(token):
        if len(word) <= LONGEST_WORD and not (word.islower() and word.isalpha()):
            found.update(_take_apart(word))
    return found


def _is_plain(word: str) -> bool:
    """Whether a word is seen to be one piece without taking it apart: most are."""
    if not word.isascii():
        return False
    return (
        (word[1:].islower() and word.isalpha())
        or word.isdigit()
        or (word.isupper() and word.isalpha())
    )


def iter_plain_numbers(text: str) -> Iterator[str]:
    """Yields numbers without the signs between their thousands and with a decimal point: `26,619.59`, `26.619,59` and
    `26 619,59` are all `26619.59`. A number that says no more than that is left out."""
    return (number for _, _, number in find_plain_numbers(text))


def join_thousands(words: Sequence[str]) -> list[str]:
    """Returns the words with those made one that are a number with spaces between its thousands."""
    joined = " ".join(words)
    for start, end, _ in reversed(list(find_plain_numbers(joined))):
        joined = joined[:start] + joined[start:end].replace(" ", "") + joined[end:]
    return joined.split(" ") if joined else []


def find_plain_numbers(text: str) -> Iterator[tuple[int, int, str]]:
    """Yields them with where they begin and end."""
    for match in _NUMBER.finditer(text):
        start, end = match.span()
        before, after = text[start - 1 : start], text[end : end + 2]
        if (
            before.isalnum()
            or before in _JOINED
            or after[:1].isalnum()
            or (after[:1] in ",.-/" and after[1:].isalnum())
            or (" " in match.group() and _ENDS_IN_NUMBER.search(text, max(0, start - 2), start))
        ):
            continue
        *whole, last = _NUMBER_SIGNS.split(match.group())
        is_decimal = len(last) != 3 or len({*_NUMBER_SIGNS.findall(match.group())}) > 1
        yield start, end, f"{''.join(whole)}.{last}" if is_decimal else "".join([*whole, last])


def clean_signs(text: str) -> str:
    """Returns the text as PostgreSQL shall parse it: signs beyond ASCII such as `“`, `—` and `•` are spaces, and a word that
    was hyphenated at the end of a line is whole. So are angle brackets: the parser passes over what it takes for a tag."""
    if "<" in text:
        text = text.translate(_BRACKETS)
    if text.isascii():
        return text
    return _SIGNS.sub(" ", _HYPHENATED.sub("", compose(text)))


def split_path_words(path: str) -> set[str]:
    """Returns the words of a path: each run of letters, digits and marks, and what `split_compounds` makes of its names,
    with and without what stands behind their last dot."""
    path = compose(path)
    names = re.split(r"[/\n]", path)
    stems = [name.rpartition(".")[0] for name in names]
    words = {word.lower() for word in match_words(path).findall(path) if len(word) <= LONGEST_WORD}
    return words | split_compounds("\n".join([*names, *stems]))


def list_parts(run: str) -> list[tuple[int, str]]:
    """Returns the parts of a run by which its words are found, each with where it begins."""
    size = _part_size(run)
    parts = [(at, run[at : at + size]) for at in range(len(run) - size + 1)]
    return parts + [(match.start(), match.group()) for match in _ONE_HAN.finditer(run)]


def ask_parts(run: str) -> list[str]:
    """Returns the parts that a text holds if it holds the run: the longest ones do."""
    size = _part_size(run)
    return [run[at : at + size] for at in range(len(run) - size + 1)] or [run]


def _part_size(run: str) -> int:
    return 2 if _EAST.match(run) else 3


@lru_cache(8_192)  # the tokens of one file repeat
def _take_apart(token: str) -> tuple[str, ...]:
    parts = _JOINERS.split(token)
    if token.isascii():
        humps = _HUMPS.findall(token)
    else:
        humps = [
            hump for part in parts for hump in (_HUMPS.findall(part) if part.isascii() else [part])
        ]
    if len(humps) < 2:
        return ()
    joined = token if _DOTTED.fullmatch(token) else "".join(parts)
    words = "\n".join([token, joined, *parts, *humps]).lower().split("\n")
    return tuple({word for word in words if len(word) > 1 or word.isdigit()})


def compose_words(languages: Sequence[str], *, heading: str, body: str, compounds: str) -> str:
    """Returns the SQL expression of `words`. The arguments are SQL: the columns or parameters that hold the cleaned texts,
    and a `text[]`. `languages` are names of text search configurations, which the caller has looked up."""
    configurations = (SIMPLE, *languages)
    bodies = [f"to_tsvector('{name}', {body})" for name in configurations]
    headings = " || ".join(f"to_tsvector('{name}', {heading})" for name in configurations)
    return " || ".join([*bodies, f"setweight({headings}, 'B')", f"array_to_tsvector({compounds})"])
