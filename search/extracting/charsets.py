"""Which charset a file is written in, and whether it is text at all."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LOOKED_AT_BYTES = 8_192
_GUESSED_FROM_BYTES = 65_536
_CONTROL = bytes(sorted({*range(32), 127} - {9, 10, 12, 13, 27}))
_CONTROL_SHARE_MAX = 0.05
_UTF8_ERRORS_MAX = 0.005  # of the bytes
_ODD_SHARE_MAX = 0.02
_WESTERN_ZEROS_LEAST = 0.4  # of the characters, where no byte is beyond ASCII
_ONE_SCRIPT_LEAST = 8  # characters
_ONE_SCRIPT_SHARE = 0.9  # of the characters beyond ASCII
_SCRIPTS_BELOW = 0x20  # high bytes of the alphabets
_ODD = ("Cc", "Cn", "Co", "Cs")
_WESTERN_SHARE_MAX = 0.4  # of the letters
_WESTERN_ODD_MAX = 0.1
_LETTERS = "ÄÖÜäöüßÉÈÊËéèêëÀÂÁÃÅàâáãåÆæÇçÎÏÍÌîïíìÔÓÒÕØôóòõøŒœÙÛÚùûúÑñÿ"
_WESTERN_LETTERS = re.compile(
    rf"(?<![{_LETTERS}])[{_LETTERS}](?![{_LETTERS}]{{3}})|(?<=[{_LETTERS}])[{_LETTERS}](?![{_LETTERS}]{{2}})"
)
# Quotes, dashes, units: what stands before a word, and what stands behind one; an apostrophe stands within.
_BEFORE = bytes.fromhex(
    "abbb93949192848296978580a3a7a9b0aeb4b7baaabfa1bdbcbed7b1b59599a2b2b3b9a0"
).decode("cp1252")
_BEHIND = bytes.fromhex("bb949296978580a3a7a9b0aeb4b7baaad7b19599a2b2b3b9a0").decode("cp1252")
_WESTERN_SIGNS = re.compile(rf"(?<!\w)[{_BEFORE}]|[{_BEHIND}](?!\w)|\u2019")
_TURKISH = ("ğışİŞ", "çöüÇÖÜâî")  # what no neighbour has, and what others have too
_WIDE_BYTES_LEAST = 64  # fewer bytes look like wide characters by chance
_ISO2022 = re.compile(rb"\x1b\$[@B][\x21-\x7e]{2}")
# Charsets that files are written in. Among all that Python knows, statistics find too many that fit by chance.
_USUAL = [
    "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "iso8859_2", "iso8859_5",
    "iso8859_7", "iso8859_9", "koi8_r", "koi8_u", "cp437", "cp850", "cp852", "cp866", "mac_roman", "cp932", "euc_jp",
    "gb18030", "big5", "cp949", "utf_16_le", "utf_16_be",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Charset:
    """`mark_bytes` is the length of its byte order mark."""

    codec: str
    mark_bytes: int = 0


UTF8 = Charset("utf-8")


def find_wide_charset(head: bytes) -> Charset | None:
    """The charset that a byte order mark tells, or that the zeros of wide characters betray."""
    for mark, codec in _MARKS:
        if head.startswith(mark):
            return Charset(codec, len(mark))
    return _find_wide(head[:_LOOKED_AT_BYTES])


def _find_wide(head: bytes) -> Charset | None:
    """Western text has zeros in the same half of each character, and text of any script has them in its blanks and line
    ends."""
    zeros = head.count(0)
    if not zeros:
        return None
    for width, codec, empty in (
        (4, "utf-32-le", (2, 3)),
        (4, "utf-32-be", (0, 1)),
        (2, "utf-16-le", (1,)),
        (2, "utf-16-be", (0,)),
    ):
        whole = head[: len(head) // width * width]
        places = [whole[at::width].count(0) for at in range(width)]
        if width == 4 and any(places[at] < len(whole) // 4 * 0.98 for at in empty):
            continue
        if width == 2 and places[empty[0]] != zeros:
            continue
        if (
            zeros < len(whole) // width * _WESTERN_ZEROS_LEAST
            and whole.isascii()
            and not _is_of_one_script(whole, codec, empty[0])
        ):
            continue
        if whole and _is_readable(whole, codec):
            return Charset(codec)
    return None


def _is_of_one_script(whole: bytes, codec: str, high_at: int) -> bool:
    """Some alphabets, such as Cyrillic, have no byte beyond ASCII in UTF-16: one value stands in the same half of nearly each
    character, beside the zeros of blanks and line ends."""
    high = whole[high_at::2].translate(None, b"\0")
    if len(high) < _ONE_SCRIPT_LEAST:
        return False
    [(value, count)] = Counter(high).most_common(1)
    if value >= _SCRIPTS_BELOW or count < len(high) * _ONE_SCRIPT_SHARE:
        return False
    text = whole.decode(codec, "replace")
    letters = sum(unicodedata.category(sign)[0] in "LM" for sign in text)
    return letters * 2 >= len(text) and (" " in text or "\n" in text)


def _is_readable(raw: bytes, codec: str) -> bool:
    text = codecs.getincrementaldecoder(codec)("replace").decode(raw)
    odd = sum(unicodedata.category(sign) in _ODD and sign not in "\t\n\r\f\x1b" for sign in text)
    return "\ufffd" not in text and odd <= len(text) * _ODD_SHARE_MAX


def is_binary(head: bytes) -> bool:
    """Whether it is no text in any charset of bytes: wide characters are found before."""
    head = head[:_LOOKED_AT_BYTES]
    if b"\0" in head:
        return True
    return len(head) - len(head.translate(None, _CONTROL)) > len(head) * _CONTROL_SHARE_MAX


class Utf8Check:
    """Reads a text block by block and tells whether it is UTF-8, with a few errors at most."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._bytes = 0
        self._errors = 0
        self._wide = 0
        self.characters = 0

    def add(self, block: bytes, *, is_last: bool) -> None:
        text = self._decoder.decode(block, final=is_last)
        if not (text.isascii() and block.isascii()):
            errors = text.count("\ufffd")
            self._errors += errors
            self._wide += len(text) - errors - len(text.encode("ascii", "ignore"))
        self._bytes += len(block)
        self.characters += len(text)

    @property
    def has_errors(self) -> bool:
        return self._errors > 0

    @property
    def is_utf8(self) -> bool:
        """Whole characters of several bytes prove it. A few errors beside them do not speak against it, and one alone may
        be a character that is cut at the end."""
        return not self._errors or (
            self._wide >= self._errors and (self._errors == 1 or self.is_mostly_utf8)
        )

    @property
    def is_mostly_utf8(self) -> bool:
        return self._errors < self._bytes * _UTF8_ERRORS_MAX


def guess_codec(sample: bytes) -> str | None:
    """The codec of a text that is not UTF-8; None: nobody can tell."""
    sample = sample[:_GUESSED_FROM_BYTES]
    if _is_turkish(sample):
        return "cp1254"
    if _is_western(sample):
        return "cp1252"
    from charset_normalizer import from_bytes  # most workers never need its 6 MB

    best = from_bytes(sample, cp_isolation=_USUAL).best()
    if best is None or best.encoding == "ascii":
        return None
    if best.encoding.startswith("utf_16") and len(sample) < _WIDE_BYTES_LEAST:
        return None
    return best.encoding


def _is_western(sample: bytes) -> bool:
    """The statistics of charset-normalizer take short or French texts for Polish. Western text has few letters beyond
    ASCII, hardly ever several in a row, and its signs stand between words."""
    text = sample.decode("cp1252", "replace")
    high = len(text) - len(text.encode("ascii", "ignore"))
    if not high or high > sum(map(str.isalpha, text)) * _WESTERN_SHARE_MAX:
        return False
    fine = len(_WESTERN_LETTERS.findall(text)) + len(_WESTERN_SIGNS.findall(text))
    return high - fine <= high * _WESTERN_ODD_MAX


def _is_turkish(sample: bytes) -> bool:
    high = len(sample) - len(sample.translate(None, bytes(range(128, 256))))
    own, near = (sum(map(sample.count, letters.encode("cp1254"))) for letters in _TURKISH)
    return own > 0 and own + near >= high * (1 - _WESTERN_ODD_MAX)


def find_iso2022(sample: bytes) -> str | None:
    """Japanese in seven bits, which looks like ASCII."""
    return "iso2022_jp" if _ISO2022.search(sample) else None
