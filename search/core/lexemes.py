"""Which words of a chunk are indexed. The index and the question ask the same functions, so both mean the same words.

The tsvector `words` of a chunk holds, in this order:

1. each word of the body as it stands, in lower case: configuration `simple`. Their positions are those of the body,
   so a phrase is asked for with `<->` among these;
2. for each language of the workspace the stems of the body's words, such as those of configuration `english`;
3. the words of the heading, once by each of these configurations, with weight B. All others have weight D;
4. what `split_compounds` makes of the body and the heading, without positions: identifiers, serials, paths and
   addresses, both whole and in parts. PostgreSQL's own parser splits some of them and keeps others whole;
5. of scripts that put no space between words, each two characters that stand side by side (Chinese, Japanese, Korean),
   each three (Thai, Lao, Khmer, Burmese), and each Chinese character, again without positions.

The path of a file is not in it: one content may have many paths. What `split_path_words` makes of them, and the stems of
this, stands beside the content, in `TextPaths`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

SIMPLE = "simple"
DEFAULT_LANGUAGES = ("english",)
# The configurations with stems that PostgreSQL brings along.
KNOWN_LANGUAGES = (
    *("arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "estonian", "finnish", "french"),
    *("german", "greek", "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian", "nepali"),
    *("norwegian", "portuguese", "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish", "yiddish"),
)  # fmt: skip
LONGEST_WORD = 80  # characters; what is longer is no name that somebody types

# Runs of letters and digits with single joiners between them.
_TOKEN = re.compile(r"[^\W_]+(?:[-_./:@+#][^\W_]+)*")
_WORD = re.compile(r"[^\W_]+")
_JOINERS = re.compile(r"[-_./:@+#]")
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


def split_compounds(text: str) -> set[str]:
    """Returns the words of `text` that are made of several: each whole, without its joiners, and in parts, all in
    lower case. `idle_in_transaction`, `HeaderMismatch` and `V-1138` are such words; `timeout` is none. With them the
    parts of runs without spaces."""
    found: set[str] = (
        set()
        if text.isascii()
        else {part for run in set(RUN.findall(text)) for _, part in list_parts(run)}
    )
    for token in set(_TOKEN.findall(text)):
        if len(token) <= LONGEST_WORD and not (token.islower() and token.isalpha()):
            found.update(_take_apart(token))
    return found


def split_path_words(path: str) -> set[str]:
    """Returns the words of a path: each run of letters and digits, and what `split_compounds` makes of its names, with
    and without what stands behind their last dot."""
    names = re.split(r"[/\n]", path)
    stems = [name.rpartition(".")[0] for name in names]
    words = {word.lower() for word in _WORD.findall(path) if len(word) <= LONGEST_WORD}
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
    humps = [
        hump for part in parts for hump in (_HUMPS.findall(part) if part.isascii() else [part])
    ]
    if len(humps) < 2:
        return ()
    words = {token, "".join(parts), *parts, *humps}
    return tuple({word.lower() for word in words if len(word) > 1 or word.isdigit()})


def compose_words(languages: Sequence[str], *, heading: str, body: str, compounds: str) -> str:
    """Returns the SQL expression of `words`. The arguments are SQL: the columns or parameters that hold the texts, and
    a `text[]`. `languages` are names of text search configurations, which the caller has looked up."""
    configurations = (SIMPLE, *languages)
    bodies = [f"to_tsvector('{name}', {body})" for name in configurations]
    headings = " || ".join(f"to_tsvector('{name}', {heading})" for name in configurations)
    return " || ".join([*bodies, f"setweight({headings}, 'B')", f"array_to_tsvector({compounds})"])
