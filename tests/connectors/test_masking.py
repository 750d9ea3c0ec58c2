"""What is hidden of what a far end says; `tests/api/test_told_secrets.py` has the hosts that say it."""

from __future__ import annotations

import base64
import json
import string
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farends.http.transport import HttpOptions, HttpSecret
from farends.masking import HIDDEN, Mask, make_mask, make_target_mask
from farends.names import printable
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target

SECRETS = st.text(string.printable, min_size=4, max_size=30).filter(str.strip)
WORDS = st.text(string.printable.replace("*", "") + "äİ€", max_size=20)


def mask_for(*secrets: str) -> Mask:
    mask = make_mask(secrets)
    assert mask is not None
    return mask


@pytest.mark.parametrize(
    "written",
    [
        str,
        str.upper,
        repr,
        json.dumps,
        quote,
        quote_plus,
        lambda secret: printable(secret, 1000),
        lambda secret: base64.b64encode(secret.encode()).decode(),
        lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
    ],
    ids=["plain", "upper", "repr", "json", "url", "form", "escaped", "base64", "base64url"],
)
@given(secret=SECRETS)
def test_a_secret_is_found_however_it_is_written(written: Mask, secret: str) -> None:
    assert mask_for(secret)(f"no entry: [{written(secret)}]") in (
        f"no entry: [{HIDDEN}]",
        f"no entry: ['{HIDDEN}']",
        f'no entry: ["{HIDDEN}"]',
        f"no entry: [{HIDDEN}=]",
        f"no entry: [{HIDDEN}==]",
    )


@given(secret=SECRETS, before=WORDS, kept=st.integers(min_value=3))
def test_nothing_of_a_secret_stands_before_a_cut(secret: str, before: str, kept: int) -> None:
    kept = min(kept, len(secret) - 1)
    text = mask_for(secret)(f"{before}{secret[:kept]}… (530)")
    assert text.endswith(f"{HIDDEN}… (530)")


def test_a_very_short_secret_is_hidden_where_it_stands_alone() -> None:
    mask = mask_for("a1")
    assert mask("no user a1, says a1host: 'a1'") == f"no user {HIDDEN}, says a1host: '{HIDDEN}'"


def test_each_line_of_a_key_is_hidden_and_its_first_and_last_are_not() -> None:
    key = "-----BEGIN KEY-----\nMIGEAgEAMBAGByqGSM49AgEG\nBSuBBAAKBG0wawIBAQQg\n-----END KEY-----\n"
    options = SftpOptions(username="u", root="/", host_key="")
    mask = make_target_mask(Target("h", 22, options, SftpSecret(private_key=key)))
    assert mask is not None
    told = mask("read -----BEGIN KEY-----, then BSuBBAAKBG0wawIBAQQg")
    assert told == f"read -----BEGIN KEY-----, then {HIDDEN}"


def test_where_there_is_no_secret_nothing_is_masked() -> None:
    assert make_target_mask(Target("h", 80, HttpOptions(), HttpSecret())) is None


SEVERAL = st.text(string.ascii_letters + string.digits + "-_!$äß", min_size=8, max_size=40)


@pytest.mark.parametrize(
    "written",
    [
        bytes.hex,
        lambda raw: raw.hex(":"),
        lambda raw: raw.hex(" ").upper(),
        lambda raw: "".join(f"%{byte:02X}" for byte in raw),
        lambda raw: "".join(f"\\x{byte:02x}" for byte in raw),
        lambda raw: ", ".join(f"0x{byte:02x}" for byte in raw),
        lambda raw: "".join(f"&#{byte};" for byte in raw),
    ],
    ids=["hex", "colons", "blanks", "percent", "escaped", "words", "entities"],
)
@given(secret=SEVERAL)
def test_a_secret_is_found_in_hexadecimal(written: Any, secret: str) -> None:
    told = mask_for(secret)(f"no entry [{written(secret.encode())}]")
    assert told == f"no entry [{HIDDEN}]"


@given(secret=SEVERAL, before=st.binary(max_size=40), after=st.binary(max_size=40))
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_is_found_at_every_offset_of_base64(
    encode: Any, secret: str, before: bytes, after: bytes
) -> None:
    """`user:password` of any user, or a whole request: no character that tells six bits of it is left."""
    raw = secret.encode()
    encoded = encode(before + raw + after).decode()
    told = mask_for(secret)(f"no entry [{encoded}]")
    first, last = -(-len(before) * 8 // 6), (len(before) + len(raw)) * 8 // 6
    head, tail = f"no entry [{encoded[:first]}", f"{encoded[last:]}]"
    assert told.startswith(head[: len(told)]) or HIDDEN in told[: len(head) + len(HIDDEN)]
    assert encoded[first:last] not in told
    assert len(told) <= len(head) + len(HIDDEN) + len(tail)


@given(secret=SEVERAL, data=st.data())
def test_a_piece_of_a_secret_is_hidden_wherever_it_was_cut(secret: str, data: Any) -> None:
    """By a host that says no word of it: of an end six characters tell, of the middle eight."""
    start = data.draw(st.integers(0, len(secret) - 6))
    least = 6 if start == 0 else 8
    end = data.draw(st.integers(min(start + least, len(secret)), len(secret)))
    piece = secret[start:end]
    assert mask_for(secret)(f"no such user: ({piece}) in line 2") == (
        f"no such user: ({HIDDEN}) in line 2"
    )


@given(secret=SEVERAL, kept=st.integers(3, 7), sign=st.sampled_from(["…", "..."]))
def test_what_a_cut_leaves_of_a_secret_is_hidden_on_both_sides(
    secret: str, kept: int, sign: str
) -> None:
    mask = mask_for(secret)
    assert mask(f"user <{secret[:kept]}{sign}> (530)") == f"user <{HIDDEN}{sign}> (530)"
    assert mask(f"user <{sign}{secret[-kept:]}> (530)") == f"user <{sign}{HIDDEN}> (530)"


def test_a_host_that_stops_in_the_middle_of_its_echo() -> None:
    assert mask_for("hunter2-and-more")("530 bad password hunte") == f"530 bad password {HIDDEN}"


@pytest.mark.parametrize("text", ["…", "x…", "canary", "canary-", "a", "%", "63", "....", "can…"])
def test_masking_costs_what_the_text_is_long(text: str) -> None:
    """Counted in lines that run, not by a clock: a host may say a megabyte of what nearly is a secret."""
    mask = mask_for("canary-sEcReT/ä+41" * 3, "another-" * 30)
    short, long = (count_lines(partial(mask, text * times)) for times in (1_000, 4_000))
    assert long <= 4.2 * short
    assert long <= 60 * 4_000 * len(text)


def count_lines(work: Callable[[], object]) -> int:
    """Of Python, that run within it."""
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count
