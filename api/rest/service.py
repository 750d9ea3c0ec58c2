"""The REST surface: routes, errors as problems, and an OpenAPI document that says what is true."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import HttpError
from ninja.errors import ValidationError as Malformed
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from api.rest import (
    alert_channels,
    alert_rules,
    alerts,
    archives,
    audit,
    backfills,
    cleaning,
    connectors,
    contents,
    datasets,
    due,
    events,
    files,
    idempotency,
    indexes,
    invitations,
    jobs,
    ledger,
    members,
    offers,
    operations,
    outbox_streams,
    overview,
    parameters,
    quarantine,
    races,
    records,
    search,
    starting,
    tables,
    tokens,
    workspace,
)
from api.rest.answers import Refused, not_found, problem
from api.rest.bodies import StrictParser
from api.rest.finding import PATH_NOUNS
from api.rest.idempotency import name_of
from api.shapes.answers import PROBLEM_TYPE
from api.shapes.misfits import describe_misfit, find_field
from database import away
from farends.registry import SPECS

log = structlog.get_logger(__name__)

TREE = "/api/workspaces/{workspace}"


class Service(NinjaAPI):
    _document: OpenAPISchema | None = None

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return name_of(operation.view_func)

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        """Always the same, and half a second's work: anybody may ask for it."""
        if self._document is None:
            self._document = self._describe(path_prefix, path_params)
        return self._document

    def _describe(
        self, path_prefix: str | None, path_params: dict[str, Any] | None
    ) -> OpenAPISchema:
        schema = super().get_openapi_schema(path_prefix=path_prefix, path_params=path_params)
        for path in schema["paths"].values():
            for method, operation in path.items():
                _tell_common(method, operation)
                for status, response in operation["responses"].items():
                    if int(status) >= HTTPStatus.BAD_REQUEST and "content" in response:
                        response["content"] = {
                            PROBLEM_TYPE: next(iter(response["content"].values()))
                        }
        return schema


def _tell_common(method: str, operation: dict[str, Any]) -> None:
    """What holds of every operation with a door, whatever it says of itself."""
    if not operation.get("security"):
        return
    refused = next(
        answer for status, answer in operation["responses"].items() if int(status) == 401
    )
    more = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
    if method == "post" and operation["operationId"] not in idempotency.NOT_KEPT:
        operation.setdefault("parameters", []).append(idempotency.PARAMETER)
        more |= {HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}
    for status in more:
        answer = {**refused, "description": status.phrase}
        operation["responses"].setdefault(status.value, answer)


def make_service() -> Service:
    service = Service(
        title="SyncProject",
        version="1",
        description="Connectors, sync jobs, their records and the datasets they keep.",
        parser=StrictParser(),
        docs_url=None,
        openapi_url="/api/openapi.json",
        urls_namespace="api",
    )
    service.add_decorator(idempotency.once)
    service.add_decorator(
        races.answer_lost_races
    )  # around it: what was kept is worked at again too
    service.add_decorator(parameters.refuse_unknown, mode="view")
    service.add_router(f"{TREE}/connectors", connectors.router)
    service.add_router(f"{TREE}/connectors", offers.connector_router)
    service.add_router(f"{TREE}/settings", workspace.router)
    service.add_router(f"{TREE}/tokens", tokens.router)
    service.add_router(f"{TREE}/members", members.router)
    service.add_router(f"{TREE}/invitations", invitations.router)
    service.add_router(f"{TREE}/audit", audit.router)
    service.add_router(f"{TREE}/sync-jobs", jobs.router)
    service.add_router(f"{TREE}/backfills", backfills.router)
    service.add_router(f"{TREE}/sync-records", records.router)
    service.add_router("", overview.router)
    service.add_router("", starting.router)
    service.add_router("/api/connectors", due.router)
    service.add_router("/api/v1/sync", operations.router)
    service.add_router("/api/v1/sync", cleaning.router)
    service.add_router(f"{TREE}/sync-records", ledger.router)
    service.add_router(f"{TREE}/sync-records", quarantine.router)
    service.add_router(f"{TREE}/sync-records", events.router)
    service.add_router(f"{TREE}/datasets", datasets.router)
    service.add_router(f"{TREE}/datasets", contents.router)
    service.add_router(f"{TREE}/datasets", tables.router)
    service.add_router(f"{TREE}/datasets", offers.dataset_router)
    service.add_router(f"{TREE}/datasets", files.router)
    service.add_router(f"{TREE}/datasets", archives.router)
    service.add_router(f"{TREE}/datasets", search.dataset_router)
    service.add_router(f"{TREE}/datasets", indexes.router)
    service.add_router(TREE, search.router)
    service.add_router(f"{TREE}/streams", outbox_streams.router)
    service.add_router(f"{TREE}/alert-rules", alert_rules.router)
    service.add_router(f"{TREE}/alert-channels", alert_channels.router)
    service.add_router(f"{TREE}/alerts", alerts.router)
    service.add_exception_handler(Refused, _refused)
    service.add_exception_handler(Malformed, _malformed)
    service.add_exception_handler(HttpError, _failed)
    service.add_exception_handler(Http404, _missing)
    service.add_exception_handler(RequestDataTooBig, _too_large)
    service.add_exception_handler(Exception, _broken)
    return service


def _refused(request: HttpRequest, exc: Refused | type[Refused]) -> HttpResponse:
    return problem(exc if isinstance(exc, Refused) else exc(HTTPStatus.BAD_REQUEST, ""))


def _missing(request: HttpRequest, exc: Exception | type[Exception]) -> HttpResponse:
    return problem(Refused(HTTPStatus.NOT_FOUND, "There is no such thing."))


def _too_large(
    request: HttpRequest, exc: RequestDataTooBig | type[RequestDataTooBig]
) -> HttpResponse:
    most_mib = (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0) / (1 << 20)
    return problem(
        Refused(
            HTTPStatus.BAD_REQUEST,
            f"The body is larger than {most_mib:g} MiB, the most that is taken.",
        )
    )


def _failed(request: HttpRequest, exc: HttpError | type[HttpError]) -> HttpResponse:
    if not isinstance(exc, HttpError):
        return _broken(request, exc)
    if isinstance(exc.__cause__, Refused):  # what our own parser said of the body
        return problem(exc.__cause__)
    return problem(Refused(HTTPStatus(exc.status_code), f"{exc}."))


def _broken(request: HttpRequest, exc: Exception | type[Exception]) -> HttpResponse:
    if isinstance(exc, Exception) and away.is_away(exc):
        log.warning(
            "request.without_database", path=request.path, error=str(exc).partition("\n")[0]
        )
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return problem(Refused(status, away.WORDS, retry_after_s=away.RETRY_AFTER_S))
    log.error("request.failed", path=request.path, exc_info=exc)
    words = "This is an error of ours; the server's log says more."
    return problem(Refused(HTTPStatus.INTERNAL_SERVER_ERROR, words))


def _malformed(request: HttpRequest, exc: Malformed | type[Malformed]) -> HttpResponse:
    """A path that nothing can have names nothing: it is answered like one that nothing has."""
    found = exc.errors if isinstance(exc, Malformed) else []
    missing = [error["loc"][1] for error in found if error["loc"][0] == "path"]
    if missing:
        return problem(not_found(PATH_NOUNS.get(str(missing[0]), "thing")))
    errors: dict[str, list[str]] = {}
    for error in found:
        field = _field_of(error, of_a_kind="/connectors" in request.path)
        told, words = errors.setdefault(field, []), describe_misfit(error)
        if words not in told:
            told.append(words)
    detail = f"The request does not fit: {', '.join(errors)}."
    if request.method == "PUT" and any(error["type"] in _LEFT_OUT for error in found):
        detail += f" {_REPLACES}"
    return problem(Refused(HTTPStatus.BAD_REQUEST, detail, errors=errors))


_LEFT_OUT = ("missing", "union_tag_not_found")
_REPLACES = "PUT replaces the whole, and so it needs what has no default. PATCH changes what it is given, and leaves the rest."


def _field_of(error: dict[str, Any], *, of_a_kind: bool) -> str:
    """Returns the path of the field without its origin, ninja's name for the body, and the kind by which a shape was chosen
    where the body is `of_a_kind`: a stream has a field that is called like a kind."""
    location: tuple[Any, ...] = error["loc"]
    within = location[1:]
    if location and location[0] == "body":
        within = within[1:]
        if of_a_kind and within and within[0] in SPECS:
            within = within[1:]
    parts = find_field(within, unknown=error["type"] == "extra_forbidden")
    if (
        location and location[0] == "query" and len(parts) > 2
    ):  # one of several values of a parameter
        parts = parts[1:2]
    if error["type"].startswith("union_tag"):
        parts.append("kind")
    return ".".join(parts) or "body"
