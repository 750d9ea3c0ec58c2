"""`approve_host_key CONNECTOR`: pin the key that a host has shown."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.command import WorkspaceCommand
from cli.finding import need_connector
from connectors.models import Connector
from connectors.pinning import Offer, find_offer, pin

ENDING = 6  # characters of a key that a person types


class Command(WorkspaceCommand):
    help = (
        "Pin the host key that the last connection test of a connector was offered. Compare it with what the host's"
        " own operator tells you. On a terminal the last 6 characters are asked for; elsewhere give the whole key."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("connector", metavar="CONNECTOR")
        parser.add_argument(
            "--fingerprint",
            metavar="KEY",
            help="the key to pin; another one than offered is refused",
        )
        parser.add_argument("--json", action="store_true", help="print what was pinned as JSON")

    def run(self, *args: object, **options: Any) -> None:
        connector = need_connector(self.get_workspace(options["workspace"]), options["connector"])
        offer = find_offer(connector)
        if offer is None:
            raise CommandError(
                "the last connection test was offered no key that is not pinned already:"
                f" `test_connector {connector.name}` looks again"
            )
        key = options["fingerprint"] or self._ask(connector, offer)
        if pin(connector, key) is None:
            raise CommandError(f"{key} is not the key that the host showed: {offer.key}")
        if options["json"]:
            self.write_json({"connector": connector.name, "option": offer.option, "key": key})
        else:
            self.stdout.write(f"{connector.name}: the {offer.whose}'s key {key} is pinned")

    def _ask(self, connector: Connector, offer: Offer) -> str:
        """The offered key, once its ending was typed. Raises CommandError."""
        if not sys.stdin.isatty():
            raise CommandError(f"give the key with --fingerprint; the host showed {offer.key}")
        pinned = connector.options.get(offer.option)
        self.stderr.write(f"{offer.whose} of {connector.name}")
        self.stderr.write(f"  pinned  {pinned or 'none'}")
        self.stderr.write(f"  shown   {offer.key}")
        self.stderr.write(
            f"Type the last {ENDING} characters of the shown key to pin it: ", ending=""
        )
        self.stderr.flush()
        if sys.stdin.readline().strip() != offer.key[-ENDING:]:
            raise CommandError("these are not its last characters: nothing was pinned")
        return offer.key
