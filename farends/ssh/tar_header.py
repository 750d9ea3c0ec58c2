"""The 512-byte headers of tar: ustar, GNU long names, pax records. A name here is a name, not a path."""

from __future__ import annotations

from dataclasses import dataclass

from farends.errors import ProtocolViolation

BLOCK_BYTES = 512
REGULAR = (b"0", b"\0", b"7")
HARD_LINK = b"1"
LONG_NAME = b"L"
LONG_LINK = b"K"
PAX = b"x"
PAX_GLOBAL = b"g"
_CHECKSUM = slice(148, 156)
_USTAR_PREFIX = slice(345, 500)


@dataclass(frozen=True, slots=True)
class Header:
    name: bytes
    kind: bytes
    size_bytes: int


def parse_header(block: bytes) -> Header:
    """Raises ProtocolViolation."""
    if sum(block) - sum(block[_CHECKSUM]) + 8 * 0x20 != _number(block[_CHECKSUM]):
        raise ProtocolViolation("a tar header with a wrong checksum")
    name = _text(block[0:100])
    if block[257:263] == b"ustar\0" and (prefix := _text(block[_USTAR_PREFIX])):
        name = prefix + b"/" + name
    return Header(name, block[156:157], _number(block[124:136]))


def parse_pax(data: bytes) -> dict[bytes, bytes]:
    """Records `length key=value\\n`. Raises ProtocolViolation."""
    found = {}
    at = 0
    while at < len(data):
        digits, space, _ = data[at : at + 20].partition(b" ")
        if not space or not digits.isdigit():
            raise ProtocolViolation("a pax record without its length")
        end = at + int(digits)
        record = data[at + len(digits) + 1 : end]
        key, equals, value = record.partition(b"=")
        if end > len(data) or not equals or not value.endswith(b"\n"):
            raise ProtocolViolation("a pax record of a wrong length")
        found[key] = value[:-1]
        at = end
    return found


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int:
    """Octal digits, or GNU's base 256 where the first bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
        if field[0] & 0x40 or value >= 2**63:
            raise ProtocolViolation("a tar header with a number out of range")
        return value
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise ProtocolViolation("a tar header with a number that is none")
    return int(digits or b"0", 8)
