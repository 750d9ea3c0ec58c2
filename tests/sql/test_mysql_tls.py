"""MariaDB over TLS: who is trusted, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from farends.errors import TlsRefused
from farends.probe import probe
from farends.sql.kind import SPEC
from farends.stages import StageOutcome
from tests.hosts.certificates import make_certificates
from tests.hosts.mariadb import making_mysql_database, running_mariadb
from tests.hosts.sinks import loopback_context


def test_a_server_is_trusted_by_its_authority_alone(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    with running_mariadb(certificate=made.server) as port, making_mysql_database(port) as database:
        database.run("CREATE TABLE items (id INT PRIMARY KEY)", "INSERT INTO items VALUES (1)")
        ways: list[dict[str, str]] = [
            {"tls": "verify", "ca_certificate": made.authority},
            {"tls": "require"},
        ]
        for options in ways:
            source = database.open(None, **options)
            assert source.preview({"table": "items"}, 5).rows == (("1",),)
            source.close()
        with pytest.raises(TlsRefused):
            database.open(tls="verify")
        target = database.target(tls="verify", ca_certificate=made.authority)
        told = {one.stage.value: one for one in probe(SPEC, target, loopback_context())}
        assert told["identity"].outcome is StageOutcome.PASSED
        assert told["identity"].detail.startswith("TLSv1.")
        assert "not verified" not in told["identity"].detail
