"""Calls of far ends that a request waits for: so many at once, and their errors as refusals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from api.rest.answers import CONFLICTS, Refused, Responses
from api.shapes.answers import Problem
from farends.errors import RootMissing, TransportError, UnsafeName
from farends.registry import UnknownKind
from workspaces.models import Workspace
from workspaces.places import CALLS_MAX, CALLS_OF_WORKSPACE, RETRY_S, NoPlace, calls

CALLED: Responses = {**CONFLICTS, 429: Problem, 502: Problem, 503: Problem}


@contextmanager
def calling(workspace: Workspace) -> Iterator[None]:
    """While a far end is called. Raises Refused."""
    try:
        with calls.held(CALLS_MAX, {str(workspace.pk): CALLS_OF_WORKSPACE}):
            yield
    except NoPlace as full:
        status = HTTPStatus.TOO_MANY_REQUESTS if full.ours else HTTPStatus.SERVICE_UNAVAILABLE
        whose = " of this workspace" if full.ours else ""
        words = f"{full.most} far ends{whose} are being called: try again when one has answered."
        raise Refused(status, words, retry_after_s=RETRY_S) from None
    except (UnsafeName, RootMissing):
        raise
    except TransportError as exc:
        raise Refused(HTTPStatus.BAD_GATEWAY, f"{exc}.", more={"code": exc.code}) from None
    except UnknownKind as exc:
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.") from None
