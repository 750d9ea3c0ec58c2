"""Bytes on disk, named by their digest; knows no Django."""
