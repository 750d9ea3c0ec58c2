"""What schemathesis holds of every answer, beside its own checks. The program imports it by SCHEMATHESIS_HOOKS."""

from __future__ import annotations

import json
import re
from typing import Any

import schemathesis
from schemathesis.openapi.checks import RejectedPositiveData
from schemathesis.specs.openapi.checks import positive_data_acceptance

# Words of Python, of the libraries below and of their types.
PYTHON = re.compile(
    r"Traceback|Value error|Input should|Field required|Extra inputs|String should|codec|char \d|sys\."
    r"|constrained|function-|\bNone\b|\bTrue\b|\bFalse\b|\bdict\b|\bstr\b|NoneType|psycopg|pydantic|django|<class|0x"
)


@schemathesis.check
def takes_what_the_document_allows(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """Which names exist, which kind of job has an option, which table a schedule reads: no schema knows that. Such a body
    is refused by its meaning, and the refusal names the field. Nothing that the document allows is refused by its
    shape, and a request without a body never."""
    try:
        positive_data_acceptance(ctx, response, case)
    except RejectedPositiveData:
        if not _is_refused_by_meaning(response, case.body):
            raise


@schemathesis.check
def tells_no_python(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    if response.status_code < 400 or not response.content:  # HEAD is told nothing
        return
    told = response.json()
    sent = repr(case.body) + repr(case.query) + repr(case.path_parameters)
    for words in [told["detail"], *(one for each in told["errors"].values() for one in each)]:
        found = PYTHON.search(words)
        assert found is None or found[0] in sent, words


def _is_refused_by_meaning(response: schemathesis.Response, body: Any) -> bool:
    if response.status_code != 400 or not isinstance(body, dict):
        return False
    told = json.loads(response.content)
    fields = {name.partition(".")[0] for name in told["errors"]}
    by_shape = told["detail"].startswith("The request does not fit")
    return bool(fields) and not by_shape and fields <= {*body, *told["errors"]} - {"body"}
