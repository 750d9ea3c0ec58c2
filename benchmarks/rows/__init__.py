"""Rows from PostgreSQL to PostgreSQL, beside COPY into COPY and beside sling."""
