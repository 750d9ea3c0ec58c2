"""Ways to log in over HTTP and FTP, each held against a host that refuses who does it wrongly."""

from __future__ import annotations

import base64
import secrets as random
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from farends.contract import Fetched, RemoteEntry
from farends.errors import AuthConfig, AuthRefused, ConnectionLost, TransportError
from farends.ftp.transport import FTP_SPEC, FTPS_SPEC, FtpsOptions, FtpsSecret
from farends.http.transport import (
    HTTP_SPEC,
    HTTPS_SPEC,
    HttpOptions,
    HttpSecret,
    HttpsOptions,
    HttpsSecret,
)
from farends.masking import hidden, make_target_mask
from farends.spec import Spec, Target
from farends.web.auth import Digest
from tests.hosts.certificates import Certificates, make_certificates
from tests.hosts.child import find_binary
from tests.hosts.nginx import running_nginx
from tests.hosts.scripted_ftp import scripted_ftp
from tests.hosts.sinks import DigestSink, digest_of, loopback_context
from tests.hosts.vsftpd import running_vsftpd

PASSPHRASE = "open, canary"


def read_all(spec: Spec, target: Target) -> dict[str, Fetched]:
    transport = spec.open(target, loopback_context())
    try:
        entries = [e for e in transport.walk() if isinstance(e, RemoteEntry)]
        return {found.entry.path: found for found in transport.fetch(entries, DigestSink())}
    finally:
        transport.close()


LOG_INS: list[tuple[str, dict[str, str], dict[str, str], str]] = [
    (
        'auth_basic "tests"; auth_basic_user_file {home}/users;',
        {"auth": "basic", "username": "reader"},
        {"password": "canary: it"},
        "password",
    ),
    (
        'if ($http_authorization != "Bearer canary.it") {{ return 401; }}',
        {"auth": "bearer"},
        {"token": "canary.it"},
        "token",
    ),
    (
        'if ($http_x_api_key != "canary.it") {{ return 403; }}',
        {"auth": "header", "header_name": "X-API-Key"},
        {"token": "canary.it"},
        "token",
    ),
]


@pytest.mark.parametrize(("lines", "options", "secret", "wrong"), LOG_INS)
def test_nginx_lets_in_who_logs_in_rightly(
    tmp_path: Path,
    folder: Path,
    lines: str,
    options: dict[str, Any],
    secret: dict[str, str],
    wrong: str,
) -> None:
    (folder / "file").write_bytes(b"content")
    hashed = subprocess.run(
        [find_binary("openssl"), "passwd", "-6", "-stdin"],
        input="canary: it",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    (tmp_path / "users").write_text(f"reader:{hashed}\n")
    with running_nginx(tmp_path, folder, lines=lines.format(home=tmp_path)) as port:
        good = Target("127.0.0.1", port, HttpOptions(**options), HttpSecret(**secret))
        assert read_all(HTTP_SPEC, good)["file"].receipt == digest_of(b"content")
        for refused in (
            replace(good, secret=replace(good.secret, **{wrong: "canary"})),
            replace(good, options=HttpOptions()),
        ):
            with pytest.raises(TransportError) as caught:
                read_all(HTTP_SPEC, refused)
            assert "canary" not in str(caught.value)
            assert not caught.value.retryable


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_digest_answers_as_rfc_7616_does(
    monkeypatch: pytest.MonkeyPatch, algorithm: str, response: str
) -> None:
    """The example of §3.9.1, with its nonces."""
    own = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    monkeypatch.setattr(random, "token_hex", lambda count: own)
    digest = Digest("Mufasa", "Circle of Life")
    assert digest.take_challenge(
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm},'
        ' nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",'
        ' opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    said = digest.fields("GET", "/dir/index.html")["Authorization"]
    assert f'response="{response}"' in said


def https(port: int, made: Certificates, **secret: str) -> Target:
    options = HttpsOptions(ca_certificate=made.authority, sessions=2)
    return Target("127.0.0.1", port, options, HttpsSecret(**secret))


def asking(home: Path, made: Certificates, word: str) -> str:
    (home / "authority.pem").write_text(made.authority)
    return f"ssl_client_certificate {home}/authority.pem; ssl_verify_client {word};"


@pytest.mark.parametrize("passphrase", ["", PASSPHRASE])
def test_a_client_certificate_opens_a_host_that_asks_for_one(
    tmp_path: Path, folder: Path, passphrase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = tmp_path / "staging"
    staging.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(staging))
    (folder / "file").write_bytes(b"content")
    made = make_certificates(tmp_path)
    certificate, key = made.make_client(passphrase)
    with running_nginx(
        tmp_path, folder, certificate=made.server, lines=asking(tmp_path, made, "on")
    ) as port:
        shown = https(
            port,
            made,
            client_certificate=certificate + made.authority,
            client_private_key=key,
            client_passphrase=passphrase or "needless",
        )
        assert read_all(HTTPS_SPEC, shown)["file"].receipt == digest_of(b"content")
        assert list(staging.iterdir()) == []
        with pytest.raises(TransportError, match="400"):
            read_all(HTTPS_SPEC, https(port, made))


def test_p13_who_is_redirected_to_does_not_see_the_client_certificate(
    tmp_path: Path, folder: Path
) -> None:
    (folder / "file").write_bytes(b"content")
    made = make_certificates(tmp_path)
    certificate, key = made.make_client()
    homes = [tmp_path / "first", tmp_path / "second"]
    for home in homes:
        home.mkdir()
    unseen = "if ($ssl_client_verify != NONE) { return 403; }"
    with running_nginx(
        homes[1],
        folder,
        certificate=made.server,
        lines=asking(homes[1], made, "optional") + unseen,
    ) as second:
        away = f"location = /file {{ return 302 https://127.0.0.1:{second}/file; }}"
        with running_nginx(
            homes[0],
            folder,
            certificate=made.server,
            lines=asking(homes[0], made, "on") + away,
        ) as first:
            words = {"client_certificate": certificate, "client_private_key": key}
            answer = read_all(HTTPS_SPEC, https(first, made, **words))["file"]
            assert answer.receipt == digest_of(b"content"), answer.error
            with pytest.raises(TransportError, match="403"):
                read_all(HTTPS_SPEC, https(second, made, **words))  # the check itself works


def test_a_client_certificate_that_cannot_be_shown_is_told_without_a_byte_of_it(
    tmp_path: Path,
) -> None:
    made = make_certificates(tmp_path)
    certificate, key = made.make_client()
    _, locked = made.make_client(PASSPHRASE)
    _, other = made.make_client()
    body = base64.b64encode(b"canary" * 20).decode()
    cases = {
        "one is missing": {"client_certificate": certificate},
        "do not match": {"client_certificate": certificate, "client_private_key": other},
        "needs its passphrase": {"client_certificate": certificate, "client_private_key": locked},
        "cannot be read": {
            "client_certificate": certificate,
            "client_private_key": f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----",
        },
        "not PEM text": {"client_certificate": "canary", "client_private_key": key},
        "passphrase is wrong": {
            "client_certificate": certificate,
            "client_private_key": locked,
            "client_passphrase": "canary",
        },
    }
    for words, given in cases.items():
        with pytest.raises(AuthConfig, match=words) as caught:
            HTTPS_SPEC.open(https(9, made, **given), loopback_context())
        assert "canary" not in str(caught.value)
        assert body[:20] not in str(caught.value)


def test_an_ftps_host_that_asks_for_a_client_certificate(tmp_path: Path, folder: Path) -> None:
    (folder / "file").write_bytes(b"content")
    made = make_certificates(tmp_path)
    certificate, key = made.make_client(PASSPHRASE)
    (tmp_path / "authority.pem").write_text(made.authority)
    lines = f"require_cert=YES\nvalidate_cert=YES\nca_certs_file={tmp_path}/authority.pem\n"
    folder.chmod(0o755)
    with running_vsftpd(tmp_path, folder, certificate=made.server, lines=lines) as running:
        options = FtpsOptions(root=running.root(folder), ca_certificate=made.authority)
        shown = FtpsSecret(
            client_certificate=certificate,
            client_private_key=key,
            client_passphrase=PASSPHRASE,
        )
        target = Target("127.0.0.1", running.port, options, shown)
        assert read_all(FTPS_SPEC, target)["file"].receipt == digest_of(b"content")
        with pytest.raises((AuthRefused, ConnectionLost)):
            read_all(FTPS_SPEC, replace(target, secret=FtpsSecret()))


@pytest.mark.parametrize("asked_after", ["USER", "PASS"])
def test_an_ftp_account_is_told_where_the_host_asks_for_one(asked_after: str) -> None:
    scripts: dict[str, Any] = {
        asked_after: lambda c, _: c.say("332 and the account?"),
        "ACCT": lambda c, given: c.say("230 fine" if given == "canary-7" else "530 no canary-8"),
    }
    with scripted_ftp({"file": b"content"}, **scripts) as host:
        target = host.target(username="u", password="p", allow_plaintext_password=True)
        known = replace(target, secret=replace(target.secret, account="canary-7"))
        assert read_all(FTP_SPEC, known)["file"].receipt == digest_of(b"content")
        with pytest.raises(AuthConfig, match="account"):
            read_all(FTP_SPEC, target)
        wrong = replace(target, secret=replace(target.secret, account="canary-8"))
        with pytest.raises(AuthRefused) as caught, hidden(make_target_mask(wrong)):
            read_all(FTP_SPEC, wrong)
        assert str(caught.value) == "log-in: no *** (530)"
