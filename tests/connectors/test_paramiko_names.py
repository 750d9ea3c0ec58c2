"""What we lean on inside paramiko: each private name stands in one module, and a test says what it does."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import paramiko
from paramiko.auth_handler import AuthHandler
from paramiko.common import MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA
from paramiko.packet import Packetizer

from farends.secure_shell import paramiko_names

FAR_ENDS = Path(__file__).parents[2] / "farends"
INSIDE: list[Any] = [paramiko.Transport, paramiko.Channel, Packetizer, AuthHandler]
TRANSPORT: Any = paramiko.Transport


def source_of(owner: Any, name: str) -> str:
    return inspect.getsource(getattr(owner, name))


def test_private_names_of_paramiko_stand_in_one_module_alone() -> None:
    private = {
        name
        for owner in INSIDE
        for name in (*vars(owner), *instance_names(owner))
        if name.startswith("_") and not name.startswith("__")
    }
    for path in sorted(FAR_ENDS.rglob("*.py")):
        if path.name == "paramiko_names.py" or "paramiko" not in path.read_text():
            continue
        used = {
            node.attr
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Attribute)
            and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
        }
        assert not used & private, path


def instance_names(owner: Any) -> set[str]:
    tree = ast.parse(inspect.getsource(owner))
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_channel_handler_table_takes_what_comes_for_a_channel() -> None:
    table = TRANSPORT._channel_handler_table
    assert table[MSG_CHANNEL_DATA] is paramiko.Channel._feed  # type: ignore[attr-defined]
    assert table[MSG_CHANNEL_EXTENDED_DATA] is paramiko.Channel._feed_extended  # type: ignore[attr-defined]


def test_feed_extended_takes_a_message() -> None:
    assert "in_stderr_buffer.feed" in source_of(paramiko.Channel, "_feed_extended")


def test_compression_info_has_a_packer_and_an_unpacker_by_name() -> None:
    assert TRANSPORT._compression_info["none"] == (None, None)
    packer, unpacker = TRANSPORT._compression_info["zlib"]
    assert unpacker()(packer()(b"text")) == b"text"
    ours: Any = paramiko_names.SshLink
    bounded = ours._compression_info["zlib"][1]()
    assert bounded(packer()(b"text")) == b"text"


def test_kex_info_and_key_info_choose_classes_by_an_algorithms_name() -> None:
    assert TRANSPORT._kex_info["diffie-hellman-group14-sha256"].__name__ == "KexGroup14SHA256"
    assert TRANSPORT._key_info["ssh-ed25519"] is paramiko.Ed25519Key


def test_preferred_pubkeys_is_what_the_public_property_tells() -> None:
    assert "_preferred_pubkeys" in TRANSPORT.__dict__
    assert "pubkeys" in inspect.getsource(TRANSPORT.preferred_pubkeys.fget)


def test_send_user_message_is_how_a_channel_sends() -> None:
    assert "_send_user_message" in source_of(paramiko.Channel, "_send")


def test_parse_newkeys_ends_an_exchange_of_keys() -> None:
    assert "clear_to_send.set()" in source_of(paramiko.Transport, "_parse_newkeys")


def test_initial_kex_done_tells_the_packetizer_that_the_key_is_known() -> None:
    told = source_of(paramiko.Transport, "_parse_newkeys")
    assert "self.packetizer._initial_kex_done = True" in told


def test_read_timeout_reads_what_comes_before_the_version() -> None:
    assert "_read_timeout" in inspect.getsource(Packetizer.readline)


def test_request_auth_asks_for_the_service_and_parse_service_accept_goes_on() -> None:
    assert "_request_auth()" in source_of(AuthHandler, "auth_password")
    assert "auth_method" in source_of(AuthHandler, "_parse_service_accept")
