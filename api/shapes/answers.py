"""What every answer and refusal is made of."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Told(BaseModel):
    """A shape that is filled from plain values. ninja's own Schema looks each field up as an attribute of a model,
    which takes longer than all else in a list of fifty."""


PROBLEM_TYPE = "application/problem+json"


class Problem(Told):
    """Why a request was refused."""

    type: str = Field("about:blank", description="A URI that names the kind of problem.")
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="What is wrong, and what to do.")
    errors: dict[str, list[str]] = Field(
        default_factory=dict, description="By field, what is wrong with it; nested ones with dots."
    )
