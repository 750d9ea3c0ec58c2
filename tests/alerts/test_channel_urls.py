"""The URL of a channel: what is accepted, what of it is shown, and where it may not lead."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.channel_secrets import (
    check_channel_url,
    seal_channel_url,
    unseal_channel_url,
)
from alerts.core.channel_urls import SCHEMES, ChannelUrlRefused, read_channel_url
from alerts.models import AlertChannel
from farends.errors import AuthConfig


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("json://ops:s3cr3t@127.0.0.1:8080/hook?token=abc", "json://127.0.0.1"),
        ("jsons://[2001:db8::1]:8443/hook", "jsons://[2001:db8::1]"),
        ("mailtos://me:s3cr3t@example.com?to=ops@example.com", "mailtos://example.com"),
        ("mailto://me@example.com?smtp=mail.example.org&to=a@b.c", "mailto://mail.example.org"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops", "slack://"),
        ("tgram://123456789:abcdefg_hijklmnop/12315544/", "tgram://"),
        ("pagerduty://A1BRTD4JD@TIiajkdnlazkcOXrIdevi7F/host/part", "pagerduty://"),
        ("ntfy://secret-topic", "ntfy://"),
        ("ntfys://ntfy.example.com/topic", "ntfys://ntfy.example.com"),
    ],
)
def test_of_a_url_only_scheme_and_host_are_shown(url: str, shown: str) -> None:
    assert read_channel_url(url).shown == shown
    assert "s3cr3t" not in repr(read_channel_url(url))


@pytest.mark.parametrize("scheme", ["syslog", "dbus", "https", "file", "gnome", "windows", "xml"])
def test_another_scheme_is_refused_with_the_list(scheme: str) -> None:
    with pytest.raises(ChannelUrlRefused) as refused:
        read_channel_url(f"{scheme}://host/path")
    assert all(name in str(refused.value) for name in SCHEMES)
    assert refused.value.code == "invalid"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "no URL",
        "json://",
        "json:///path",
        "json://host:99999/",
        "json://ho\nst/",
        "json://host/ HTTP/1.1",
        "json://host/?attach=/etc/hostname",
        "json://host/?a=1&ATTACH=/etc/hostname",
        "slack://a/b/c?template=/etc/passwd",
        "json://host/?+Host=elsewhere",
        "json://host/?%2BHost=elsewhere",
        "json://host/?:message=title",
        "json://host/?%61ttach=/etc/hostname",
        "json://host/?a=1;attach=/etc/hostname",
        "json://host%3Fattach=x/",
    ],
)
def test_what_cannot_be_a_channel_is_refused(url: str) -> None:
    with pytest.raises(ChannelUrlRefused):
        read_channel_url(url)


def test_how_often_and_how_long_is_not_the_urls_to_say() -> None:
    url = "json://host/a?retry=9&Wait=60&rto=99&cto=99&format=html&redirect=yes&-key=1&verify=no"
    assert read_channel_url(url).plugin_url == "json://host/a?-key=1&verify=no"


@pytest.mark.parametrize(
    "url",
    [
        "json://169.254.169.254/latest/meta-data",
        "json://metadata.google.internal/",
        "json://127.0.0.1:8080/",
        "json://localhost/",
        "json://0x7f.1/",
        "json://[::ffff:127.0.0.1]/",
        "mailto://me@example.com?smtp=127.0.0.1",
        "gotify://10.0.0.1/token",
    ],
)
def test_a_literal_address_that_nobody_may_connect_to_is_refused_at_once(
    url: str, settings: Any
) -> None:
    settings.ALLOWED_NETWORKS = []
    with pytest.raises(ChannelUrlRefused) as refused:
        check_channel_url(url)
    assert refused.value.code == "forbidden_network"


def test_a_part_of_the_platform_is_no_channel(settings: Any) -> None:
    settings.ALLOWED_NETWORKS = ["127.0.0.0/8"]
    settings.OWN_LISTENERS = (("127.0.0.1", 8091),)
    assert check_channel_url("json://127.0.0.1:8092/").warning
    with pytest.raises(ChannelUrlRefused) as refused:
        check_channel_url("json://127.0.0.1:8091/")
    assert refused.value.code == "forbidden_network"


def test_a_url_opens_only_for_its_own_channel() -> None:
    url = "jsons://ops:s3cr3t@example.com/hook"
    channel, other = AlertChannel(), AlertChannel()
    seal_channel_url(channel, url)
    assert (channel.scheme, channel.shown_url) == ("jsons", "jsons://example.com")
    assert "s3cr3t" not in channel.sealed_secret
    assert unseal_channel_url(channel) == url
    other.sealed_secret = channel.sealed_secret
    with pytest.raises(AuthConfig):
        unseal_channel_url(other)
