"""An entity of a REST source, as a person wrote it: where its objects are, and how its pages follow each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from farends.errors import RootMissing
from farends.rest.slicing import Slicing, read_slicing
from farends.rows.contract import CursorOrder
from farends.rows.json_text import Path, parse_path

PAGERS = ("cursor", "url", "link", "page", "offset")
_SAFE_PATH = "/%?&=!$'()*+,;:@~"


@dataclass(frozen=True, slots=True)
class Following:
    """How the next page is found. `kind` is one of PAGERS, `at` a path in the body, a relation or a parameter."""

    kind: str
    at: str
    param: str = ""
    more: str = ""
    start: int = 1
    pages: str = ""
    total: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    name: str
    path: str
    records: Path
    params: tuple[tuple[str, str], ...] = ()
    page_param: str = ""
    page_size: int = 0
    following: Following | None = None  # None: there is one page
    slicing: Slicing | None = None  # None: it is read in one go
    key: tuple[str, ...] = ()
    cursor: CursorOrder | None = None

    def list_params(self) -> list[tuple[str, str]]:
        sized = [(self.page_param, str(self.page_size))] if self.page_param else []
        return [*self.params, *sized]


def find_resource(spec: Mapping[str, Any], known: Mapping[str, Any]) -> Resource:
    """The resource that `spec` means, or names among the connector's own: {"name": …}. Raises RootMissing."""
    name = spec.get("name")
    if isinstance(name, str) and "path" not in spec:
        if name not in known:
            raise RootMissing(f"the connector has no entity {name}")
        spec = {**known[name], "name": name}
    try:
        return _read(spec)
    except (KeyError, TypeError, ValueError) as exc:
        raise RootMissing(f"the entity cannot be read: {exc}") from exc


def _read(spec: Mapping[str, Any]) -> Resource:
    path = str(spec["path"])
    page = spec.get("page") or {}
    return Resource(
        name=str(spec.get("name") or _name_of(path)),
        path=quote(path if path.startswith("/") else f"/{path}", safe=_SAFE_PATH),
        records=parse_path(str(spec.get("records") or "")),
        params=tuple((str(name), write_param(value)) for name, value in (spec.get("params") or {}).items()),
        page_param=str(page.get("param") or ""),
        page_size=int(page.get("size") or 0),
        following=_read_following(spec.get("next") or {}),
        slicing=read_slicing(spec.get("slices") or {}, write_param),
        key=tuple(spec.get("key") or ()),
        cursor=read_cursor(spec.get("cursor")),
    )  # fmt: skip


def _read_following(given: Mapping[str, Any]) -> Following | None:
    kinds = [kind for kind in PAGERS if kind in given]
    if not kinds:
        return None
    if len(kinds) > 1:
        raise ValueError(f"next has {' and '.join(kinds)}, and needs one of them")
    for name in ("cursor", "url", "more", "pages", "total"):
        parse_path(str(given.get(name) or ""))
    return Following(
        kind=kinds[0],
        at=str(given[kinds[0]]),
        param=str(given.get("param") or ""),
        more=str(given.get("more") or ""),
        start=int(given.get("start", 1)),
        pages=str(given.get("pages") or ""),
        total=str(given.get("total") or ""),
    )


def read_cursor(given: Any) -> CursorOrder | None:
    if not given:
        return None
    if isinstance(given, str):
        return CursorOrder(given)
    return CursorOrder(
        given["field"], given.get("param", ""), given.get("format", ""), given.get("lag_s")
    )


def _name_of(path: str) -> str:
    """What comes last in the path that tells anything."""
    parts = [part for part in path.partition("?")[0].split("/") if part]
    return parts[-1] if parts else "rows"


def write_param(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def write_query(params: list[tuple[str, str]]) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in params)
