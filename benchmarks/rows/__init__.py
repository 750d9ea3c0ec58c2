"""Rows from PostgreSQL, MariaDB and CSV, beside COPY, sling and pgloader; objects of an API, beside dlt."""
