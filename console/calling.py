"""Calls of far ends that a page waits for: so many at once and no more, or they would take every thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest

from workspaces.places import CALLS_MAX, CALLS_OF_WORKSPACE, NoPlace, calls

T = TypeVar("T")


def call_far_end(
    request: HttpRequest, subject: Any, workspace_id: UUID, call: Callable[[], T]
) -> T | None:
    """What the call returned; None, and a message to the person, where no place was free."""
    try:
        with calls.held(CALLS_MAX, {str(workspace_id): CALLS_OF_WORKSPACE}):
            return call()
    except NoPlace as full:
        whose = " of its workspace" if full.ours else ""
        words = f"{subject}: {full.most} far ends{whose} are being called. Try again when one has answered."
        messages.error(request, words)
        return None
