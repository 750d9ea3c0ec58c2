"""Sends messages to services by their real names, in a namespace where those names lead to this machine.

usage: unshare --mount --net python -m tests.alerts.behind_names FOLDER, with letters as JSON on standard input

The product runs as it is: its child resolves `hooks.slack.com` by the resolver, connects to port 443 and checks the
certificate. Only /etc/hosts and the list of authorities are others, and only in this namespace.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import certifi
import django

from tests.hosts.alert_receiver import Reply, receiving_alerts
from tests.hosts.certificates import make_certificates

NAMES = ("hooks.slack.com", "events.pagerduty.com")


def _enter(folder: Path) -> ssl.SSLContext:
    """Gives the names a place, and their certificate an authority."""
    made = make_certificates(folder, *NAMES)
    hosts, authorities = folder / "hosts", folder / "authorities.pem"
    hosts.write_text(f"127.0.0.1 localhost {' '.join(NAMES)}\n")
    authorities.write_text(made.authority)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    subprocess.run(["mount", "--bind", authorities, certifi.where()], check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.server)
    return context


def _main(folder: Path, letters: list[dict[str, Any]]) -> dict[str, Any]:
    os.environ.update(DJANGO_SETTINGS_MODULE="syncproject.settings", ALLOWED_NETWORKS="127.0.0.0/8")
    django.setup()
    from alerts.sending.courier import Courier

    tls = _enter(folder)
    told = []
    with (
        receiving_alerts(lambda _: Reply(202), place=("127.0.0.1", 443), tls=tls) as receiver,
        closing(Courier()) as courier,
    ):
        for letter in letters:
            if letter["url"].startswith("slack"):
                receiver.answer = lambda _: Reply(200)
            else:
                receiver.answer = lambda _: Reply(202)
            courier.send(letter["url"], json.dumps(letter["body"]).encode())
            while courier.sending_count:
                told += [[one.delivered, one.code, one.detail] for one in courier.wait(1)]
    sent = [
        {"host": one.fields["host"], "path": one.path, "body": one.told}
        for one in receiver.received
    ]
    return {"receipts": told, "sent": sent}


if __name__ == "__main__":
    print(json.dumps(_main(Path(sys.argv[1]), json.load(sys.stdin))))  # noqa: T201
