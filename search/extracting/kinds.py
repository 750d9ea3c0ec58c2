"""What a file is, by its name and by its first bytes."""

from __future__ import annotations

import re

from search.core.outlines import TEXT_KINDS

HEAD_BYTES = 65_536  # that are looked at; 1 KiB is enough for all but a charset

# Kinds that a parser must take apart.
DOCUMENT_KINDS = frozenset(
    {".pdf", ".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".html", ".eml"}
)
# What else a kind is called.
_ALIASES = {
    ".htm": ".html", ".xhtml": ".html", ".shtml": ".html", ".mht": ".eml", ".mhtml": ".eml",
    ".docm": ".docx", ".dotx": ".docx", ".dotm": ".docx", ".xlsm": ".xlsx", ".xltx": ".xlsx", ".xltm": ".xlsx",
    ".pptm": ".pptx", ".ppsx": ".pptx", ".ppsm": ".pptx", ".potx": ".pptx", ".ott": ".odt", ".ots": ".ods",
    ".otp": ".odp", ".markdown": ".md", ".mdown": ".md", ".mkd": ".md", ".mdx": ".md", ".rest": ".rst",
}  # fmt: skip
_PACKED = frozenset({".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp"})
_ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
COMPOUND_FILE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # old Office, and new Office behind a password
# How the first member of an office file is called; its folders tell which kind it is.
_FIRST_MEMBER = re.compile(
    rb"(?s)PK\x03\x04.{26}(?:\[Content_Types\]\.xml|_rels/|docProps/|customXml/|(word|xl|ppt)/|mimetype"
    rb"application/vnd\.oasis\.opendocument\.(text|spreadsheet|presentation))"
)
_HTML = re.compile(
    rb"(?i)(?:\xef\xbb\xbf)?\s{0,200}(?:<!--.{0,300}?-->\s{0,20})?<(?:!doctype\s+html|html|head|body)[\s>]",
    re.DOTALL,
)
_MAIL = re.compile(
    rb"(?i)(?:From |(?:Return-Path|Delivered-To|Received|Message-ID|MIME-Version|From|Date|Subject|To):)"
)
_MAIL_LINES = re.compile(rb"(?im)^(?:From|Subject|Date|Message-ID|Received|To):")
_MAIL_LINES_LEAST = 3
_PACKED_BY = {
    b"word": ".docx", b"xl": ".xlsx", b"ppt": ".pptx", b"text": ".odt", b"spreadsheet": ".ods", b"presentation": ".odp",
}  # fmt: skip
UNKNOWN_OFFICE = ".office"  # one of Microsoft's; its parts tell which


def read_suffix(name: str) -> str:
    """In lower case, as its kind is usually called: `.html` for `a/B.HTM`; empty where there is none."""
    base = name.rpartition("/")[2]
    stem, dot, suffix = base.rpartition(".")
    if not dot or not stem or not suffix.isalnum() or len(suffix) > 12:
        return ""
    suffix = f".{suffix.lower()}"
    return _ALIASES.get(suffix, suffix)


def decide_kind(name: str, head: bytes) -> str:
    """One of DOCUMENT_KINDS or UNKNOWN_OFFICE, which a parser must take apart, or a suffix of plain text."""
    suffix = read_suffix(name)
    if suffix == ".pdf" and b"%PDF-" in head[:1024]:
        return suffix
    if head.startswith(b"%PDF-"):
        return ".pdf"
    if head.startswith((_ZIP, _EMPTY_ZIP)):
        return _decide_packed(suffix, head)
    if suffix in TEXT_KINDS:
        return suffix
    if suffix in (".html", ".eml"):
        return suffix
    if _HTML.match(head):
        return ".html"
    if _MAIL.match(head) and _is_mail(head):
        return ".eml"
    return ".py" if head.startswith(b"#!") else ".txt"


def _decide_packed(suffix: str, head: bytes) -> str:
    if suffix in _PACKED:
        return suffix
    found = _FIRST_MEMBER.match(head)
    if found is None:
        return ".zip"
    folder = found[1] or found[2]
    return _PACKED_BY[folder] if folder else UNKNOWN_OFFICE


def _is_mail(head: bytes) -> bool:
    fields = head.partition(b"\n\n")[0].partition(b"\r\n\r\n")[0]
    return len(_MAIL_LINES.findall(fields)) >= _MAIL_LINES_LEAST


def names_a_document(name: str) -> bool:
    """Whether the name promises a kind that is no plain text."""
    return read_suffix(name) in DOCUMENT_KINDS - {".html", ".eml"}
