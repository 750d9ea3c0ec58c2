"""Cuts what a far end says at a sign, as it comes: no byte is looked at twice, and no piece is without end."""

from __future__ import annotations

from farends.errors import ProtocolViolation


class Splitter:
    """`endless` is what is told of a piece that is longer than `bytes_max`."""

    def __init__(self, sign: bytes, bytes_max: int, endless: str) -> None:
        self._sign = sign
        self._bytes_max = bytes_max
        self._endless = endless
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces that are whole now, without the sign. Raises ProtocolViolation."""
        at = data.rfind(self._sign)
        if at < 0:
            self._rest += data
            pieces = []
        else:
            pieces = (bytes(self._rest) + data[:at]).split(self._sign)
            self._rest = bytearray(data[at + len(self._sign) :])
        if len(self._rest) > self._bytes_max:
            raise ProtocolViolation(self._endless)
        return pieces

    @property
    def rest(self) -> bytes:
        """The bytes of a piece that is not whole yet."""
        return bytes(self._rest)
