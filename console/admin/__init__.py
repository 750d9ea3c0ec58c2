"""The admin's pages, one module for each noun; Django finds this package by its name."""

from __future__ import annotations

from console.admin import (
    alerts,
    api_token,
    audit,
    connector,
    dataset,
    invitation,
    member,
    people,
    periodic_task,
    stream,
    sync_job,
    sync_record,
    version,
    workspace,
)

__all__ = [
    "alerts",
    "api_token",
    "audit",
    "connector",
    "dataset",
    "invitation",
    "member",
    "people",
    "periodic_task",
    "stream",
    "sync_job",
    "sync_record",
    "version",
    "workspace",
]
