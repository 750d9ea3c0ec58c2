"""Loaded by a worker (`celery -I`), which then knows the practice's far end and its work."""

from __future__ import annotations

from farends.registry import SPECS
from syncjobs.works.table import WORKS
from tests.processes.practice import FAR_END, KIND, SPEC, Practice

SPECS[KIND] = SPEC
WORKS[FAR_END] = Practice()
