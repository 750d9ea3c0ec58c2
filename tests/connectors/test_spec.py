"""Options and secrets as the surfaces see them."""

from __future__ import annotations

import pytest

from farends.http.transport import HttpOptions
from farends.registry import SPECS, UnknownKind, get_spec
from farends.sftp.transport import SftpOptions
from farends.spec import FILES, InvalidOptions, option_fields, parse_options, read_stored


def test_every_kind_describes_its_options_in_plain_types() -> None:
    for kind, spec in SPECS.items():
        assert spec.kind == kind
        for field in (*option_fields(spec.options), *option_fields(spec.secret)):
            assert field.label
            assert field.type in (str, int, float, bool, list)
        has_root = "root" in {field.name for field in option_fields(spec.options)}
        has_folders = not read_stored(spec.options, {}).lists_whole
        assert has_root == (spec.far_end == FILES and has_folders)
        assert not any(field.required for field in option_fields(spec.secret))


def test_options_are_converted_and_defaults_filled() -> None:
    made = parse_options(HttpOptions, {"root": "/x", "urls": ["/a"], "sessions": "3"})
    assert made == HttpOptions(root="/x", urls=("/a",), sessions=3)
    assert parse_options(SftpOptions, {"username": "u", "root": None}).root == "."


def test_every_wrong_option_is_named_at_once() -> None:
    with pytest.raises(InvalidOptions) as caught:
        parse_options(SftpOptions, {"usernam": "u", "root": ["x"]})
    assert "did you mean username" in caught.value.problems["usernam"]
    assert set(caught.value.problems) == {"usernam", "root", "username"}
    with pytest.raises(InvalidOptions, match="must be one of"):
        parse_options(HttpOptions, {"auth": "ntlm"})


def test_an_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(UnknownKind, match="sftp"):
        get_spec("gopher")
