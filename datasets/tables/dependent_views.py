"""Views, materialized ones too, that stand on a relation whose column gets another type: PostgreSQL refuses that while they
are there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from database.rows import fetch_rows

# The nearest come first: whoever stands on another view is made after it.
_VIEWS = """
WITH RECURSIVE standing AS (
    SELECT r.ev_class AS oid, 1 AS depth FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
     WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
       AND d.refobjid = to_regclass(quote_ident(%s) || '.' || quote_ident(%s)) AND r.ev_class <> d.refobjid
    UNION
    SELECT r.ev_class, s.depth + 1 FROM standing s JOIN pg_depend d ON d.refobjid = s.oid
      JOIN pg_rewrite r ON r.oid = d.objid
     WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND r.ev_class <> s.oid
)
SELECT n.nspname AS schema, c.relname AS name, pg_get_viewdef(c.oid) AS body, pg_get_userbyid(c.relowner) AS owner,
       c.relkind = 'm' AS is_kept, c.relispopulated AS is_filled, c.reloptions AS options,
       obj_description(c.oid, 'pg_class') AS comment, max(s.depth) AS depth,
       coalesce((SELECT array_agg(format('%%s %%s', a.privilege_type, CASE WHEN a.is_grantable THEN 'g' ELSE '-' END
                        || coalesce(g.rolname, '')) ORDER BY 1)
                   FROM aclexplode(c.relacl) a LEFT JOIN pg_roles g ON g.oid = a.grantee
                  WHERE a.grantee <> c.relowner), '{}') AS granted,
       coalesce((SELECT array_agg(pg_get_indexdef(i.indexrelid) ORDER BY i.indexrelid) FROM pg_index i
                  WHERE i.indrelid = c.oid), '{}') AS indexes
  FROM standing s JOIN pg_class c ON c.oid = s.oid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('v', 'm') GROUP BY c.oid, n.nspname ORDER BY depth
"""


@dataclass(frozen=True, slots=True)
class _View:
    schema: str
    name: str
    is_kept: bool  # materialized
    is_filled: bool  # of a materialized one: it was refreshed once
    body: str
    owner: str
    options: list[str] | None
    comment: str | None
    depth: int
    granted: list[str]  # "SELECT -reader": privilege, whether it may be given on, and to whom
    indexes: list[str]  # as statements

    @property
    def title(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    @property
    def kind(self) -> sql.SQL:
        return sql.SQL("MATERIALIZED VIEW" if self.is_kept else "VIEW")


@contextmanager
def set_views_aside(cursor: psycopg.Cursor[Any], schema: str, relation: str) -> Iterator[None]:
    """Within the block, and the caller's transaction, no view stands on the relation. Afterwards each is there again, with
    its options, its owner, its comment, its grants and its indexes; a materialized one has been refreshed."""
    cursor.execute(_VIEWS, [schema, relation])
    views = fetch_rows(cursor, _View)
    for view in reversed(views):
        cursor.execute(sql.SQL("DROP {} {}").format(view.kind, view.title))
    yield
    for view in views:
        _make_again(cursor, view)


def _make_again(cursor: psycopg.Cursor[Any], view: _View) -> None:
    options = sql.SQL(f"WITH ({', '.join(view.options)})" if view.options else "")
    body = sql.SQL(view.body.rstrip().removesuffix(";"))
    data = sql.SQL("" if view.is_filled or not view.is_kept else "WITH NO DATA")
    cursor.execute(
        sql.SQL("CREATE {} {} {} AS {} {}").format(view.kind, view.title, options, body, data)
    )
    for index in view.indexes:
        cursor.execute(sql.SQL(index))
    cursor.execute(
        sql.SQL("ALTER {} {} OWNER TO {}").format(view.kind, view.title, sql.Identifier(view.owner))
    )
    if view.comment is not None:
        cursor.execute(
            sql.SQL("COMMENT ON {} {} IS {}").format(
                view.kind, view.title, sql.Literal(view.comment)
            )
        )
    for grant in view.granted:
        privilege, _, rest = grant.partition(" ")
        grantee = sql.Identifier(rest[1:]) if rest[1:] else sql.SQL("PUBLIC")
        cursor.execute(
            sql.SQL("GRANT {} ON {} TO {}{}").format(
                sql.SQL(privilege),
                view.title,
                grantee,
                sql.SQL(" WITH GRANT OPTION" if rest[0] == "g" else ""),
            )
        )
