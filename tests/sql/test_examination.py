"""The connection test of a database, and what its options hold."""

from __future__ import annotations

from typing import Any

import pytest

from farends.errors import ConnectionStage
from farends.probe import probe
from farends.spec import InvalidOptions, Target, parse_options
from farends.sql.kind import SPEC
from farends.sql.options import SqlOptions
from farends.stages import StageOutcome, StageResult
from tests.hosts.databases import Database
from tests.hosts.sinks import loopback_context

PASSED, FAILED, SKIPPED = StageOutcome


def examine(target: Target) -> dict[ConnectionStage, StageResult]:
    return {told.stage: told for told in probe(SPEC, target, loopback_context())}


def outcomes(told: dict[ConnectionStage, StageResult]) -> dict[str, str]:
    return {stage.value: result.outcome.value for stage, result in told.items()}


def test_each_stage_is_tried(database: Database) -> None:
    database.session.execute("CREATE TABLE items (id int PRIMARY KEY)")
    told = examine(database.target())
    assert outcomes(told) == {
        "resolve": "passed",
        "connect": "passed",
        "identity": "skipped",
        "log_in": "passed",
        "list": "passed",
        "read": "passed",
        "clock": "passed",
        "features": "passed",
    }
    assert "1 tables and 0 views" in told[ConnectionStage.LIST].detail
    assert "PostgreSQL 18" in told[ConnectionStage.FEATURES].detail


def test_who_sees_no_other_sessions_is_told_what_that_costs(database: Database) -> None:
    told = examine(database.target())[ConnectionStage.FEATURES]
    assert told.outcome is PASSED
    assert "pg_read_all_stats" in told.detail
    assert told.advice.startswith("GRANT pg_read_all_stats TO")


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "password": ({"password": "wrong"}, "log_in", "auth_refused"),
    "database": ({"database": "no such"}, "log_in", "root_missing"),
    "tls": ({"tls": "require"}, "identity", "tls"),
    "port": ({"port": 1}, "connect", "unreachable"),
    "schemas": ({"writable": True, "schemas": ("nowhere",)}, "features", "permission_refused"),
}


@pytest.mark.parametrize("what", WRONG)
def test_the_stage_that_failed_says_why(database: Database, what: str) -> None:
    given, stage, code = WRONG[what]
    told = examine(database.target(**given))
    failed = [result for result in told.values() if result.outcome is FAILED]
    assert [(one.stage.value, one.code) for one in failed] == [(stage, code)]
    assert failed[0].advice
    assert "options.root" not in failed[0].advice
    assert ("ssl = on" in failed[0].advice) == (what == "tls")


def test_a_destination_says_where_it_may_be_filled(database: Database) -> None:
    told = examine(database.target(writable=True, schemas=("public",)))
    assert told[ConnectionStage.LIST].outcome is PASSED
    assert told[ConnectionStage.READ].outcome is SKIPPED
    assert "may fill tables in public" in told[ConnectionStage.FEATURES].detail


def test_the_server_is_seen_without_a_log_in(database: Database) -> None:
    reach = SPEC.reach
    assert reach is not None
    reach(database.target(password="wrong", username="nobody"), loopback_context())


GIVEN = {"engine": "postgresql", "database": "d", "username": "u"}


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"writable": True}, {"schemas"}),
        ({"schemas": ["pg_catalog"]}, {"schemas"}),
        ({"schemas": ["syncproject_history"]}, {"schemas"}),
        ({"schemas": ["information_schema"]}, {"schemas"}),
        ({"tls": "maybe"}, {"tls"}),
        ({"engine": "oracle"}, {"engine"}),
        ({"idle_timeout_s": 0}, {"idle_timeout_s"}),
        ({"engine": None, "database": None}, {"engine", "database"}),
    ],
)
def test_options_that_do_not_fit_are_named(more: dict[str, Any], named: set[str]) -> None:
    with pytest.raises(InvalidOptions) as caught:
        parse_options(SqlOptions, GIVEN | more)
    assert set(caught.value.problems) == named


def test_only_a_writable_postgresql_can_be_filled() -> None:
    writable = GIVEN | {"writable": True, "schemas": ["shop"]}
    assert SPEC.writable_schemas(writable) == ("shop",)
    assert SPEC.writable_schemas(GIVEN) == ()
    assert SPEC.writable_schemas(writable | {"engine": "mariadb"}) == ()


def test_the_usual_port_is_the_engines() -> None:
    assert SPEC.usual_port(GIVEN) == 5432
    assert SPEC.usual_port({}) == 5432


def test_less_tls_is_another_way_there() -> None:
    """A password that was stored for a verified server is not sent to one that is not."""
    ways = {tls: SPEC.detour(GIVEN | {"tls": tls}) for tls in ("verify", "require", "off")}
    assert len(set(ways.values())) == 3
    assert ways["verify"] == ()
