"""Every route of the REST surface, as the service itself lists them."""

from __future__ import annotations

from dataclasses import dataclass

from api.rest.callers import Bearer
from syncproject.urls import service
from workspaces.models import Role


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str  # with {names}
    needed: Role | None  # None: open to everybody

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def routes() -> list[Route]:
    found = []
    for bound in service._get_bound_routers():
        for path, view in bound.path_operations.items():
            full = f"{bound.prefix}{path}"
            for operation in view.operations:
                doors = [door for door in operation.auth_callbacks if isinstance(door, Bearer)]
                needed = doors[0].needed if doors else None
                found += [Route(method, full, needed) for method in operation.methods]
    return sorted(found, key=str)
