"""`rollback DATASET N`: what an older version holds, as the next one."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from api.shapes.datasets import tell_version
from cli.command import WorkspaceCommand
from cli.finding import need_dataset
from datasets.models import DatasetKind
from datasets.tables.columns import TableGone
from datasets.tables.going_back import CannotGoBack
from syncjobs.upkeep.rollback import DatasetBusy, NothingToRollBack, VersionMissing, roll_back
from syncjobs.upkeep.rollback_elsewhere import AFTERWARDS, DestinationAway
from workspaces.acting import actor_now


class Command(WorkspaceCommand):
    help = (
        "Publish what an older version of a dataset holds as the next one: files, or the rows, columns and mark of"
        " tables. The next sync brings what the source has by then: to stay at the older state, switch the job off"
        " first."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("dataset", metavar="DATASET")
        parser.add_argument("number", metavar="N", type=int, help="number of the version")
        parser.add_argument("--json", action="store_true", help="print the new version as JSON")

    def run(self, *args: object, **options: Any) -> None:
        dataset = need_dataset(self.get_workspace(options["workspace"]), options["dataset"])
        try:
            version = roll_back(dataset.pk, options["number"], by=actor_now().name)
        except (
            CannotGoBack,
            DatasetBusy,
            NothingToRollBack,
            TableGone,
            VersionMissing,
        ) as exc:
            raise CommandError(f"nothing was changed: {exc}") from None
        except DestinationAway as exc:
            raise CommandError(f"{exc}; {AFTERWARDS[0].lower()}{AFTERWARDS[1:]}") from None
        if options["json"]:
            told = tell_version(version)
            self.write_json(told | {"published_at": version.created_at})
            return
        noun = "rows" if dataset.kind == DatasetKind.TABLE else "files"
        counts = ", ".join(
            f"{getattr(version, f'{noun}_{change}')} {change}"
            for change in ("added", "changed", "removed")
        )
        self.stdout.write(
            f"{dataset.name} v{version.number} holds what v{options['number']} does; {noun}: {counts}"
        )
