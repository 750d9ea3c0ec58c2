"""Reads the reply that ends a listing: it may say that the host cut the listing or could not read the folder. Pure."""

from __future__ import annotations

from farends.ftp.reply import Reply

# pure-ftpd ends a listing at its limit (Debian: 10,000 names) with `226 Output truncated to N matches`,
# in the language that it was built for. ProFTPD (`ListOptions maxfiles`) and others say nothing.
_CUT = (
    b"truncat", b"trunchi", b"truncad", b"troncat", b"tronqu", b"trunkera", b"afrundet", b"beschr\xc3\xa4nkt",
    b"deja pas mal", b"afgekort", b"avkortet", b"skrateny", b"shkurtuar", b"zkr\xe1cen", b"csonk\xedtva", b"obci\xeate",
    b"incomplete", b"partial list", b"listing limited", b"limited to the first", b"too many files",
    b"too many entries", b"only the first", b"not all files", b"not all entries", b"more files exist",
    b"maximum number of", b"limit reached", b"abort",
)  # fmt: skip
# The noun of pure-ftpd's `226 N matches total`, and of the boards that copy it. It counts `.` and `..`
# where they are listed.
_MATCHES = (
    b"matches", b"shod", b"sammenfald", b"eintr\xc3\xa4ge gesamt", b"ocurrencias", b"elements au total", b"elements, y a",
    b"corrispondenze", b"overeenstemmingen", b"treff totalt", b"potriviri", b"zhod", b"krahasime",
    b" entries", b" items",
)  # fmt: skip
# vsftpd and pure-ftpd confirm a listing of nothing where they may not read the folder.
_UNREAD = (
    b"failed to open", b"unable to read", b"cannot read", b"can't read", b"could not read", b"cannot open", b"can't open",
    b"could not open", b"permission denied", b"access denied", b"[.]",
)  # fmt: skip


def tells_cut(reply: Reply, rows: int, dots: int) -> str:
    """Why the listing is not whole, as the reply tells it; empty where it says no such thing. `rows` is
    how many came beside the `dots`, which are `.` and `..`."""
    for line in reply.lines:
        said = line.lower()
        if any(word in said for word in _CUT):
            return f"the host has cut the listing: {Reply(reply.code, (line,)).text}"
        if _is_part(said):
            return f"the host lists a part: {Reply(reply.code, (line,)).text}"
        count = _count(said)
        if count is not None and count not in (rows, rows + dots):
            return f"the host counts {count} names, and {rows + dots} came"
    return ""


def tells_unread(reply: Reply) -> bool:
    return any(word in line.lower() for line in reply.lines for word in _UNREAD)


def _is_part(said: bytes) -> bool:
    """`28 of 30`: fewer than there are."""
    words = said.split(None, 64)
    return any(
        word == b"of"
        and before.isdigit()
        and after.isdigit()
        and len(before) <= len(after) < 10
        and int(before) < int(after)
        for before, word, after in zip(words, words[1:], words[2:], strict=False)
    )


def _count(said: bytes) -> int | None:
    """The one number of a line that counts matches."""
    if not any(noun in said for noun in _MATCHES):
        return None
    numbers = [word for word in said.split() if word.isdigit()]
    return int(numbers[0]) if len(numbers) == 1 and len(numbers[0]) < 10 else None
