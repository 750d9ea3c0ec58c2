"""Errors of a host's file system that waiting may heal: by number, and in the words of the C locale."""

from __future__ import annotations

import errno
import os

HICCUPS = frozenset(
    {
        errno.EINTR,
        errno.EIO,
        errno.EAGAIN,
        errno.ENOMEM,
        errno.EBUSY,
        errno.ENFILE,
        errno.EMFILE,
        errno.ECONNRESET,
        errno.ENOBUFS,
        errno.ENOTCONN,
        errno.ETIMEDOUT,
        errno.EHOSTDOWN,
        errno.ESTALE,
    }
)
_WORDS = (*map(os.strerror, sorted(HICCUPS)), "I/O error")  # so musl, and a remote one in glibc


def tells_hiccup(text: str) -> bool:
    return any(words in text for words in _WORDS)
