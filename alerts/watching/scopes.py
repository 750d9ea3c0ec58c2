"""Which rules look at a job: those of the job, of its connector, of one of its tags, and of its whole workspace."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from django.db.models import Q

from alerts.core.words import RuleKind
from alerts.models import AlertRule


class JobRules:
    """Enabled rules of some kinds, found by what they are limited to."""

    def __init__(self, rules: Iterable[AlertRule]) -> None:
        self.by_id = {rule.pk: rule for rule in rules}
        self._by_scope: dict[tuple[uuid.UUID, Any], list[AlertRule]] = defaultdict(list)
        for rule in self.by_id.values():
            scope = rule.job_id or rule.connector_id or rule.tag or None
            self._by_scope[rule.workspace_id, scope].append(rule)

    def iter_for(
        self,
        workspace_id: uuid.UUID,
        job_id: uuid.UUID,
        connector_id: uuid.UUID | None,
        tags: Collection[str],
    ) -> Iterator[AlertRule]:
        """Each once: a rule has one scope."""
        for scope in (None, job_id, *([] if connector_id is None else [connector_id]), *tags):
            yield from self._by_scope.get((workspace_id, scope), ())


def load_job_rules(
    kinds: Collection[RuleKind],
    workspace_ids: Collection[uuid.UUID],
    job_ids: Collection[uuid.UUID],
) -> JobRules:
    """Of these workspaces, without those that look at other jobs alone."""
    rules = AlertRule.objects.filter(
        Q(job=None) | Q(job__in=list(job_ids)),
        enabled=True,
        kind__in=list(kinds),
        stream=None,
        workspace__in=list(workspace_ids),
    )
    return JobRules(rules)
