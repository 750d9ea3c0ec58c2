"""Rows: what a source of rows is, the types that both sides know, and rows as the bytes of COPY."""
