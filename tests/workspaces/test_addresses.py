from __future__ import annotations

import pytest

from workspaces.addresses import find_client

PROXIES = ("10.0.0.0/24", "203.0.113.9")


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("192.0.2.1", {}, "192.0.2.1"),
        # The far end of the list is what the client says; only our proxies' part counts.
        ("10.0.0.5", {"X-Forwarded-For": "1.1.1.1, 8.8.8.8"}, "8.8.8.8"),
        ("203.0.113.9", {"X-Forwarded-For": "8.8.8.8, 10.0.0.7"}, "8.8.8.8"),
        ("10.0.0.5", {}, None),
        ("10.0.0.5", {"X-Forwarded-For": "10.0.0.7"}, None),
        ("10.0.0.5", {"X-Forwarded-For": "8.8.8.8, nonsense"}, None),
        # A proxy near by that nobody has named, and a stranger who plays one.
        ("10.0.1.5", {"X-Forwarded-For": "8.8.8.8"}, None),
        ("127.0.0.1", {"Via": "1.1 x"}, None),
        ("8.8.4.4", {"X-Forwarded-For": "8.8.8.8"}, "8.8.4.4"),
        ("127.0.0.1", {}, "127.0.0.1"),
        ("", {}, None),
        ("2001:4860:1:2:3::4", {}, "2001:4860:1:2::"),
        ("::ffff:8.8.8.8", {}, "8.8.8.8"),
    ],
)
def test_the_clients_own_address(peer: str, headers: dict[str, str], client: str | None) -> None:
    assert find_client(peer, headers, PROXIES) == client
