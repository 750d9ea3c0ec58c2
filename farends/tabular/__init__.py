"""Rows out of files: CSV, JSON lines, Parquet and Excel."""
