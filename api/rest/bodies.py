"""Reading a body: JSON as RFC 8259 has it, of a bounded size and depth."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, NoReturn

from django.http import HttpRequest
from ninja.parser import Parser

from api.rest.answers import Refused


class StrictParser(Parser):
    def parse_body(self, request: HttpRequest) -> Any:
        """Raises Refused."""
        try:
            return json.loads(request.body.decode("utf-8"), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as exc:
            words = "it is nested too deeply" if isinstance(exc, RecursionError) else exc
            raise Refused(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {words}.") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
