"""`GET /health`: is the machine there, and does it work? Open to all: it names parts and ages only."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache

from syncjobs.core.watching import Level
from syncjobs.upkeep.health import look_around, look_for

_STATUSES = {
    Level.FINE: "ok",
    Level.WARNING: "degraded",
    Level.STARTING: "starting",
    Level.DOWN: "unavailable",
}


@never_cache
def health(request: HttpRequest) -> JsonResponse:
    """503 where a part is down. `?part=` asks for one part, or for `web`, whose look at the workers and
    at beat a supervisor of web processes does not want."""
    part = request.GET.get("part")
    findings = look_around() if part is None else look_for(part)
    if not findings:
        return JsonResponse({"status": "unknown part", "checks": {}}, status=404)
    level = max(one.level for one in findings)
    return JsonResponse(
        {
            "status": _STATUSES[level],
            "checks": {one.part: one.word for one in findings},
            "ages_s": {one.part: round(one.age_s, 1) for one in findings if one.age_s is not None},
        },
        status=503 if level is Level.DOWN else 200,
    )
