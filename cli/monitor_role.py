"""The role that may read the views for operators (docs/sql.md), and nothing else."""

from __future__ import annotations

from django.db import DatabaseError, connection, transaction

ROLE = "monitor"
_HINT = (
    "Role {role} cannot read the views for operators: {error}. As a superuser of PostgreSQL say CREATE ROLE {role};"
    " GRANT {role} TO {us}; then run manage.py prepare again (docs/sql.md)."
)


def grant_monitor() -> str:
    """Makes the role, where it is missing and we may, and lets it read the views; what is wrong, or nothing."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)", [ROLE])
            if not cursor.fetchone()[0]:
                cursor.execute(f"CREATE ROLE {ROLE} NOLOGIN")
            cursor.execute(f"GRANT USAGE ON SCHEMA monitoring TO {ROLE}")
            cursor.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA monitoring TO {ROLE}")
    except DatabaseError as exc:
        error = str(exc).partition("\n")[0]
        return _HINT.format(role=ROLE, error=error, us=connection.settings_dict["USER"])
    return ""
