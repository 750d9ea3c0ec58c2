"""The rules that a workspace begins with. A person may change or delete them: nobody makes them again."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from alerts.core.words import RuleKind, Severity
from alerts.models import AlertRule


@dataclass(frozen=True, slots=True)
class DefaultRule:
    """It looks at its whole workspace, and tells all channels."""

    kind: RuleKind
    severity: Severity
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"default-{self.kind.replace('_', '-')}"


DEFAULT_RULES = (
    DefaultRule(RuleKind.FAILURE, Severity.WARNING),
    DefaultRule(RuleKind.HELD, Severity.WARNING),
    DefaultRule(RuleKind.NOTHING_RAN, Severity.WARNING, {"after_s": None}),
    DefaultRule(RuleKind.INDEX_BEHIND, Severity.INFO, {"after_s": 900}),
    DefaultRule(RuleKind.DISK, Severity.CRITICAL, {"free_percent": 10}),
)


def make_default_rules(workspace_id: uuid.UUID) -> None:
    """For a workspace that is made now, in its transaction."""
    AlertRule.objects.bulk_create(
        AlertRule(
            workspace_id=workspace_id, name=rule.name, kind=rule.kind.value, severity=rule.severity.value,
            params=dict(rule.params),
        )
        for rule in DEFAULT_RULES
    )  # fmt: skip
