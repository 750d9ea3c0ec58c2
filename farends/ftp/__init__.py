"""Kinds ftp and ftps."""
