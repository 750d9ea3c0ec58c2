"""What people paste into the field of a host."""

from __future__ import annotations

import pytest

from connectors.pasted import (
    PastedAddress,
    choose_options,
    find_host_fault,
    find_pasted_address,
)
from farends.registry import SPECS


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (
            "sftp://edi.vattner.example/in",
            PastedAddress("edi.vattner.example", kind="sftp", folder="/in"),
        ),
        (
            "SFTP://ann:pw@edi.example:2222/in/out",
            PastedAddress("edi.example", "sftp", 2222, "/in/out", "ann", has_password=True),
        ),
        ("https://files.example.com/", PastedAddress("files.example.com", kind="https")),
        (
            "davs://cloud.example.com/dav",
            PastedAddress("cloud.example.com", "webdav", None, "/dav"),
        ),
        (
            "postgresql://etl@db.example:5433/orders",
            PastedAddress("db.example", "sql", 5433, "/orders", "etl"),
        ),
        ("edi.example/in", PastedAddress("edi.example", folder="/in")),
        ("edi.example:2222", PastedAddress("edi.example", port=2222)),
        ("ann@edi.example", PastedAddress("edi.example", username="ann")),
        ("ann@edi.example:/srv/in", PastedAddress("edi.example", folder="/srv/in", username="ann")),
        ("[2001:db8::1]:22", PastedAddress("2001:db8::1", port=22)),
        ("gopher://old.example/x", PastedAddress("old.example", folder="/x")),
        ("edi.example", None),
        ("10.0.0.7", None),
        ("2001:db8::1", None),
        ("edi.example:999999", None),
        ("sftp://", None),
        ("http://[", None),
    ],
)
def test_an_address_is_split(text: str, address: PastedAddress | None) -> None:
    assert find_pasted_address(text, SPECS) == address


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("edi example", "blanks"),
        ("\\\\server\\share", "Windows"),
        ("edi.example:999999", "no host name"),
        ("http://[", "no host name"),
        ("edi.example", ""),
        ("2001:db8::1", ""),
        ("häuser.example", ""),
    ],
)
def test_what_is_neither_host_nor_address_is_told(text: str, words: str) -> None:
    fault = find_host_fault(text)
    assert words in fault
    assert bool(fault) == bool(words)


def test_folder_and_user_go_into_the_options_that_a_kind_has() -> None:
    address = PastedAddress("h", folder="/orders", username="etl")
    assert choose_options(address, SPECS["sftp"]) == {"root": "/orders", "username": "etl"}
    assert choose_options(address, SPECS["sql"]) == {"database": "orders", "username": "etl"}
    assert choose_options(address, SPECS["client"]) == {}
