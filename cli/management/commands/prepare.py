"""`prepare`: what a stack needs before its processes start. Safe to run at every start."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser
from django.db import connection

from cli.chores import DEMO, plan_chores
from cli.command import Command as DatabaseCommand
from cli.monitor_role import grant_monitor
from datasets.installation import HALT_WORDS, settle_here
from datasets.seeing import StoreState
from datasets.store import ensure_store
from outbox.first import InvalidClientUrl, ensure_first_stream
from outbox.models import Stream, StreamState
from outbox.streams import stop_stream
from search.checks import check_vector_extension
from syncjobs.claims.pulsing import PREPARED, note_pulse
from syncjobs.configuration.jobs import save_job
from syncjobs.models import SyncJob
from workspaces.lookup import find_workspace
from workspaces.models import Role, Workspace
from workspaces.tokens import create_token, revoke_tokens

TOKEN_NAME = "one-machine stack"  # noqa: S105 — a label
CONSOLE_USER = "admin"


class Command(DatabaseCommand):
    help = (
        "Migrate the database, collect static files, make the store, the platform's chores, a"
        " workspace and its token, and, where CONSOLE_PASSWORD is given, the console's first user."
        " Prints one line of JSON with the token."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--workspace", default="default", help="workspace to make")

    def run(self, *args: object, workspace: str, **options: Any) -> None:
        call_command("migrate", verbosity=0, interactive=False)
        note_pulse(PREPARED, holder="")
        call_command("collectstatic", verbosity=0, interactive=False)
        warnings = _settle_installation()
        missing = check_vector_extension(databases=["default"])
        warnings += [f"{one.msg} {one.hint}" for one in missing]
        if unread := grant_monitor():
            warnings.append(unread)
        for warning in warnings:
            self.stderr.write(warning)
        plan_chores()
        _ensure_console_user(settings.SYNC.console_password)
        row, _ = Workspace.objects.get_or_create(name=workspace)
        if workspace != DEMO:
            _rest_samples()
        try:
            ensure_first_stream(row)
        except InvalidClientUrl as exc:
            raise CommandError(str(exc)) from None
        revoke_tokens(row, name=TOKEN_NAME)
        _, token = create_token(row, name=TOKEN_NAME, role=Role.ADMIN)
        self.stdout.write(
            json.dumps({"token": token, "username": CONSOLE_USER, "warnings": warnings})
        )


def _settle_installation() -> list[str]:
    """What keeps this host from work. A start goes on all the same: what puts it right needs the database."""
    warnings = []
    state = ensure_store()
    if state is not StoreState.RIGHT:
        warnings.append(
            f"the store is {state}: nothing is synced here until {settings.STORE_ROOT} is the store that the"
            " database knows. Mount it, or see `manage.py adopt_store --help`"
        )
    with connection.cursor() as cursor:
        halt = settle_here(cursor)
    if halt is not None:
        warnings.append(
            f"{HALT_WORDS[halt]}: no schedule is served here, and no source is cleared, until"
            " `manage.py resume_after_restore`"
        )
    return warnings


def _ensure_console_user(password: str) -> None:
    users = get_user_model()
    if password and not users.objects.filter(is_superuser=True).exists():
        users.objects.create_superuser(CONSOLE_USER, password=password)


def _rest_samples() -> None:
    """The sample hosts run with the demo only: without them its jobs and streams rest."""
    for job in SyncJob.objects.filter(workspace=find_workspace(DEMO), enabled=True):
        job.enabled = False
        save_job(job)
    for stream in Stream.objects.filter(workspace=find_workspace(DEMO)).exclude(
        state=StreamState.STOPPED
    ):
        stop_stream(stream)
