"""A real database that connectors of tests read."""

from __future__ import annotations

from tests.hosts.databases import Database

ORDERS = """
CREATE TABLE orders (id bigint PRIMARY KEY, customer text, qty integer, updated_at timestamptz);
INSERT INTO orders SELECT n, 'customer ' || n, n % 7, timestamptz '2026-01-01 00:00:00+00' + n * interval '1 minute'
  FROM generate_series(1, 100) AS n;
CREATE TABLE keyless (day date, amount numeric(12,2));
INSERT INTO keyless VALUES ('2026-01-01', 1.50), ('2026-01-01', 1.50), (NULL, NULL);
CREATE TABLE long (id integer PRIMARY KEY, text text);
INSERT INTO long VALUES (1, repeat('x', 1024)), (2, repeat('x', 1025)), (3, NULL);
CREATE TABLE "a/b c%""x" (id integer PRIMARY KEY);
CREATE VIEW late AS SELECT * FROM orders WHERE qty > 3;
"""


def fill(database: Database) -> None:
    database.session.execute(ORDERS)
