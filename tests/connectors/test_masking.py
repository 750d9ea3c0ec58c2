"""What is hidden of what a far end says; `tests/api/test_told_secrets.py` has the hosts that say it."""

from __future__ import annotations

import base64
import json
import string
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.masking import HIDDEN, Mask, make_mask, mask_of
from connectors.names import printable
from connectors.spec import Target
from connectors.transports.http import HttpOptions, HttpSecret
from connectors.transports.sftp import SftpOptions, SftpSecret

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
    mask = mask_of(Target("h", 22, options, SftpSecret(private_key=key)))
    assert mask is not None
    told = mask("read -----BEGIN KEY-----, then BSuBBAAKBG0wawIBAQQg")
    assert told == f"read -----BEGIN KEY-----, then {HIDDEN}"


def test_where_there_is_no_secret_nothing_is_masked() -> None:
    assert mask_of(Target("h", 80, HttpOptions(), HttpSecret())) is None
