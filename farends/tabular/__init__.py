"""Rows out of the files of a dataset: CSV, JSON Lines, Parquet and Excel."""
