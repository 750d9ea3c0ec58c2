"""Patterns that a person gives for names, matched in time that grows with the name and no faster.

Globs are matched against the whole path below the root: `*` and `?` stay within a component, `**`
spans components, `[...]` is a class. A pattern without a slash matches the name at any depth. A pattern
that begins with `re:` is a regular expression, matched against the whole path.

The standard library's `re` tries one way after the other while it holds the interpreter's lock: a few
letters of a pattern, against one name, stop every thread of a process for as long as somebody likes. RE2
follows all ways at once. What it cannot do for that reason, look-arounds and back-references, is refused.
The usual globs need neither, which is several times as fast (docs/decisions/012).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import re2

Matcher = Callable[[str], bool]

PATTERN_MAX = 1_000  # characters
_MEMORY_BYTES = 2 << 20  # of one compiled expression, what it learns while it matches included
_REFUSED = {
    "(?=": "a look-ahead",
    "(?!": "a look-ahead",
    "(?<": "a look-behind",
    "(?>": "an atomic group",
    "(?P": "a reference to a group",
    "(?(": "a reference to a group",
}


class InvalidPattern(ValueError):
    """What is no pattern, or none that may be used here."""


@lru_cache(maxsize=128)
def parse_pattern(pattern: str) -> Matcher:
    """Raises InvalidPattern."""
    if len(pattern) > PATTERN_MAX:
        raise InvalidPattern(f"{pattern[:40]!r}…: a pattern has at most {PATTERN_MAX:,} characters")
    if pattern.startswith("re:"):
        return _compile(pattern, _in_words_of_re2(pattern[3:]))
    glob = pattern.removeprefix("./").removeprefix("/")
    tokens = _TOKEN.findall(glob)
    plain = _match_plainly(glob) or _match_stars(pattern, glob, tokens)
    if plain is not None:
        return plain
    prefix = "" if "/" in glob else "(?:.*/)?"
    return _compile(pattern, prefix + "".join(_word_of(pattern, token) for token in tokens))


def escape_path(path: str) -> str:
    """A pattern that matches this path alone; with `/**` behind it, all that lies below a folder of this path."""
    escaped = "".join(f"[{each}]" if each in "*?[" else each for each in path)
    return f"/{escaped}"  # the slash keeps `re:` and a bare name from meaning more


def _compile(pattern: str, expression: str) -> Matcher:
    options = re2.Options()
    options.dot_nl = True
    options.never_capture = True
    options.log_errors = False
    options.max_mem = _MEMORY_BYTES
    try:
        compiled = re2.compile(_encode(expression), options)
    except re2.error as exc:
        raise InvalidPattern(f"{pattern!r}: {_explain(exc)}") from None
    match, both = compiled._regexp.Match, re2._Anchor.ANCHOR_BOTH  # `fullmatch` takes twice as long

    def matches(path: str) -> bool:
        raw = path.encode("utf-8", "surrogatepass")
        return bool(match(both, raw, 0, len(raw))[0][0] == 0)

    return matches


def _encode(text: str) -> bytes:
    """A lone surrogate is one character to RE2 as well."""
    return text.encode("utf-8", "surrogatepass")


def _explain(exc: re2.error) -> str:
    reason = exc.args[0]
    words = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    what, _, found = words.partition(": ")
    refused = _REFUSED.get(found[:3]) if what == "invalid perl operator" else None
    if what == "invalid escape sequence" and found[1:].isdigit():
        refused = "a reference to a group"
    if refused:
        return (
            f"{found} is {refused}, and a hostile name could make it take hours. Say it in two rules of"
            " `filters`, such as '- *.tmp' and then '+ *.csv'"
        )
    if what.startswith("pattern too large"):
        return "its repetitions make it too large: use smaller ones, or *"
    return words


# --- globs


def _match_plainly(glob: str) -> Matcher | None:
    """Matches the usual forms, which need no expression; None for the others."""
    if glob == "**":
        return lambda path: True
    if glob.startswith("**/") and "/" not in glob[3:]:
        glob = glob[3:]  # the name at any depth, as without it
    if glob.endswith("/**"):
        return _match_folder(glob)
    before, star, after = glob.partition("*")
    if _is_special(before) or _is_special(after):
        return None
    if "/" not in glob:
        return _named(before, star, after)
    if not star:
        return lambda path: path == glob
    shortest = len(glob) - 1

    def matches(path: str) -> bool:
        return (
            len(path) >= shortest
            and path.startswith(before)
            and path.endswith(after)
            and "/" not in path[len(before) : len(path) - len(after)]
        )

    return matches


def _is_special(text: str) -> bool:
    return any(character in text for character in "*?[")


def _match_folder(glob: str) -> Matcher | None:
    folder = glob.removesuffix("**")
    if not _is_special(folder):
        return lambda path: path.startswith(folder)
    folder = f"/{folder.removeprefix('**/')}"
    if glob.startswith("**/") and not _is_special(folder):
        return lambda path: folder in f"/{path}"
    return None


def _named(before: str, star: str, after: str) -> Matcher:
    """Matches a pattern of the name alone, with one star or none."""
    if not star:
        ending = f"/{before}"
        return lambda path: path == before or path.endswith(ending)
    if not before:
        return lambda path: path.endswith(after)

    def matches(path: str) -> bool:
        name = path[path.rfind("/") + 1 :]
        return (
            name.startswith(before)
            and name.endswith(after)
            and len(name) >= len(before) + len(after)
        )

    return matches


# `**/` is any folders only where a name begins; `a**/b` is `a`, anything, `/b`.
_TOKEN = re.compile(r"(?<![^/])\*\*/|/\*\*\Z|\*\*|\*|\?|\[[!^]?\]?[^\]]*\]|.", re.DOTALL)
_SPANS = {"**/", "/**", "**"}
_WORDS = {"**/": "(?:.*/)?", "/**": "/.*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _match_stars(pattern: str, glob: str, tokens: Sequence[str]) -> Matcher | None:
    """For stars that stay within a component; None where one spans components. A star that another one
    follows takes the first place where what stands between them fits, and never looks back."""
    if not _SPANS.isdisjoint(tokens):
        return None
    pieces: list[str] = []
    star: int | None = None  # where the latest one stands
    for token in tokens:
        if token == "*":  # noqa: S105 — a glob, no password
            if star is not None:
                pieces[star:] = [f"(?>[^/]*?{''.join(pieces[star + 1 :])})"]
            star = len(pieces)
        pieces.append(_word_of(pattern, token))
    match = re.compile(rf"(?s:{''.join(pieces)})\Z").match
    if "/" in glob:
        return lambda path: match(path) is not None
    return lambda path: match(path, path.rfind("/") + 1) is not None


def _word_of(pattern: str, token: str) -> str:
    if token in _WORDS:
        return _WORDS[token]
    if token == "[":  # noqa: S105 — a glob, no password
        raise InvalidPattern(f"{pattern!r}: '[' is never closed")
    if len(token) > 1:
        return _class_of(pattern, token[1:-1])
    return _literal(token)


def _class_of(pattern: str, inner: str) -> str:
    """A class never holds the slash, whatever it says."""
    negated = inner[:1] in ("!", "^")
    ranges = list(_ranges(pattern, inner[1:] if negated else inner))
    if negated:
        ranges.append(("/", "/"))
    else:
        ranges = [kept for span in ranges for kept in _without_slash(*span)]
    if not ranges:
        return r"[^\s\S]"  # no character
    words = "".join(f"{_literal(low)}-{_literal(high)}" for low, high in ranges)
    return f"[{'^' if negated else ''}{words}]"


def _ranges(pattern: str, members: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(members):
        low = high = members[at]
        if members[at + 1 : at + 2] == "-" and at + 2 < len(members):
            high = members[at + 2]
            at += 2
        if low > high:
            raise InvalidPattern(f"{pattern!r}: bad range {low}-{high} in a class")
        yield low, high
        at += 1


def _without_slash(low: str, high: str) -> Iterator[tuple[str, str]]:
    if not low <= "/" <= high:
        yield low, high
        return
    if low < "/":
        yield low, "."
    if high > "/":
        yield "0", high


def _literal(character: str) -> str:
    """Escapes text so that RE2 and the standard library read it alike."""
    is_plain = character.isalnum() or character == "_" or not character.isascii()
    return character if is_plain else f"\\{character}"


# --- regular expressions

# As `re` means them, in the words of RE2, which knows these classes for ASCII alone. Each begins and ends with
# a property, so that no range can reach into it.
_CLASSES = {
    "s": r"\p{Z}\t-\r\x1c-\x20\x85\p{Z}",
    "S": r"\p{L}\x00-\x08\x0e-\x1b\x21-\x7f\x80-\x84\x86-\x9f\p{L}\p{M}\p{N}\p{P}\p{S}\p{Cf}\p{Co}\p{Cs}",
    "w": r"\p{L}_\p{N}",
    "W": r"\p{M}\x{203F}\x{2040}\x{2054}\x{FE33}\x{FE34}\x{FE4D}-\x{FE4F}\x{FF3F}"
    r"\p{Pd}\p{Ps}\p{Pe}\p{Pi}\p{Pf}\p{Po}\p{S}\p{Z}\p{C}",
    "d": r"\p{Nd}",
    "D": r"\P{Nd}",
}
_ALONE = {
    **{letter: f"[{_CLASSES[letter]}]" for letter in "swd"},
    **{letter.upper(): f"[^{_CLASSES[letter]}]" for letter in "swd"},
    "Z": r"\z",
}
_ESCAPE = r"\\u(?P<four>[0-9a-fA-F]{4})|\\U(?P<eight>[0-9a-fA-F]{8})|\\(?P<escaped>.)"
_OUTSIDE = re.compile(rf"{_ESCAPE}|(?P<opens>\[\^?\]?)|\{{,(?P<most>\d+)\}}|.", re.DOTALL)
_INSIDE = re.compile(rf"{_ESCAPE}|(?P<closes>\])|(?P<bracket>\[)|.", re.DOTALL)  # of a class


def _in_words_of_re2(expression: str) -> str:
    """The same expression, where RE2 writes or means a thing in another way than Python."""
    words: list[str] = []
    at, inside = 0, False
    while piece := (_INSIDE if inside else _OUTSIDE).match(expression, at):
        at = piece.end()
        match piece.lastgroup:
            case "four" | "eight" as kind:
                words.append(rf"\x{{{piece[kind]}}}")
            case "escaped":
                words.append(_escaped(piece["escaped"], inside=inside))
            case "bracket":
                words.append(r"\[")
            case "most":
                words.append(f"{{0,{piece['most']}}}")
            case kind:
                words.append(piece[0])
                inside = kind == "opens" or (inside and kind != "closes")
    return "".join(words)


def _escaped(letter: str, *, inside: bool) -> str:
    if inside:
        return r"\x08" if letter == "b" else _CLASSES.get(letter, f"\\{letter}")
    return _ALONE.get(letter, f"\\{letter}")
