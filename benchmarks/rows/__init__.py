"""Rows from PostgreSQL to PostgreSQL, beside COPY into COPY and beside sling; objects of an API, beside dlt."""
