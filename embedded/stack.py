"""The one-machine stack from nothing to a printed address, and back.

PostgreSQL and Valkey, then `manage.py prepare`, then web, workers, beat and Flower; with the samples
also two hosts and `manage.py demonstrate`. Everything it knows passes to the programs by environment
and by files, never by words that a process list shows.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass

from embedded import (
    agents,
    home,
    logs,
    options,
    ports,
    postgres,
    programs,
    stack_env,
    summary,
    valkey,
)
from embedded import keys as key_files
from embedded.child import PROJECT
from embedded.errors import ChildFailed, StackError, StopAsked
from embedded.keys import Keys
from embedded.launcher import Launcher
from embedded.options import PRIVATE_NETWORKS, Options
from embedded.parent import Parent
from embedded.samples import hosts as samples
from embedded.samples.hosts import SampleHosts
from embedded.watchdog import Watchdog

_INTERRUPTED = 130  # as a shell says of a command that Ctrl-C ended

# What the launcher decides, and what Flower would take for options of its own.
_NOT_INHERITED = (
    *("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "SECRETS_KEYS", "CRON_SECRET", "DATA_DIR"),
    *("ALLOWED_NETWORKS", "CONSOLE_PASSWORD", "FLOWER_PASSWORD", "FLOWER_PORT", "FLOWER_URL"),
    "FLOWER_BASIC_AUTH",
)


@dataclass(frozen=True, slots=True)
class Wish:
    demo: bool
    exit_after: bool  # stop once the demonstration has its result
    tied: bool = False  # stop with the process that started this one


@dataclass(frozen=True, slots=True)
class Addresses:
    web_port: int
    flower_port: int
    database_url: str
    redis_url: str


def run(environment: Mapping[str, str], wish: Wish, say: Callable[[str], None]) -> int:
    """Runs the stack until it is told to stop; the exit status.

    Raises StackError for what the operator has to put right.
    """
    if sys.version_info < (3, 11):  # noqa: UP036 - `python manage.py` may be any python
        raise StackError("Python 3.11 or newer is needed")
    is_told_to_stop = Parent().was_interrupted if wish.tied else lambda: False
    chosen = options.read_options(environment)
    with closing(home.open_home(chosen.data_dir)), Launcher(say, is_told_to_stop) as launcher:
        stack_env.remove(chosen.data_dir)
        home.wait_for_leftovers(chosen.data_dir, say)
        try:
            return Stack(chosen, environment, launcher, say).run(wish)
        finally:
            stack_env.remove(chosen.data_dir)
            say("stopping")


class Stack:
    def __init__(
        self,
        chosen: Options,
        environment: Mapping[str, str],
        launcher: Launcher,
        say: Callable[[str], None],
    ) -> None:
        self._options = chosen
        self._environment = environment
        self._launcher = launcher
        self._say = say
        self._data_dir = chosen.data_dir
        self._logs = chosen.data_dir / "log"
        self._url = ""

    def run(self, wish: Wish) -> int:
        status = _INTERRUPTED if wish.exit_after else 0
        try:
            hosts = samples.prepare_sample_hosts(self._data_dir) if wish.demo else None
            self._start(hosts)
            status = self._demonstrate(hosts) if hosts else 0
            self._say(agents.tell_agents(self._url, self._data_dir))
            if not wish.exit_after:
                self._launcher.watch()
        except StopAsked:
            pass
        return status

    def _start(self, hosts: SampleHosts | None) -> None:
        chosen = self._options
        web_port = ports.claim_port("WEB_PORT", chosen.web_port, chosen.web_host)
        flower_port = ports.claim_port("FLOWER_PORT", chosen.flower_port)
        keys = key_files.settle_keys(self._data_dir / "keys", self._environment)
        database_url, redis_url = self._start_servers()
        addresses = Addresses(web_port, flower_port, database_url, redis_url)
        self._env = self._child_environment(keys, addresses)

        workspace = "demo" if hosts else "default"
        self._say("preparing the database")
        token = self._prepare(workspace, keys)
        values = {
            "SYNC_URL": _url_of(chosen, web_port),
            "SYNC_WORKSPACE": workspace,
            "SYNC_TOKEN": token,
            "CRON_SECRET": keys.cron_secret.value,
            "FLOWER_URL": f"http://127.0.0.1:{flower_port}",
            **{name: self._env[name] for name in _SHARED},
        }
        stack_env.write_stack_env(self._data_dir, values)

        self._launcher.end_silent(Watchdog(database_url, silent_s=chosen.silent_s))
        self._say("starting web, workers, index, beat and Flower")
        self._launcher.start(
            [
                programs.web(self._env, self._logs, chosen.web_host, web_port),
                *(
                    programs.worker(self._env, self._logs, number, chosen.concurrency)
                    for number in range(1, chosen.workers + 1)
                ),
                programs.indexer(self._env, self._logs),
                programs.beat(self._env, self._logs),
                programs.flower(self._env, self._logs, flower_port, keys.flower_password.value),
                *(hosts.programs(self._logs, home.mark(self._data_dir)) if hosts else ()),
            ]
        )
        self._url = values["SYNC_URL"]
        self._say(summary.summarize(chosen, keys, values["SYNC_URL"], values["FLOWER_URL"]))

    def _start_servers(self) -> tuple[str, str]:
        """Starts those that no URL was given for; the URLs of both."""
        database_url, redis_url = self._options.database_url, self._options.redis_url
        starting = []
        if redis_url is None:
            broker = valkey.prepare_valkey(self._data_dir)
            starting.append(broker.program(self._logs / "valkey.log", home.mark(self._data_dir)))
            redis_url = broker.url
        if database_url is None:
            if not (self._data_dir / "postgres").exists():
                self._say("making a PostgreSQL cluster (once)")
            database = postgres.prepare_postgres(self._data_dir)
            starting.append(database.program(self._logs / "postgres.log"))
            database_url = database.url
        self._launcher.start(starting)
        return database_url, redis_url

    def _child_environment(self, keys: Keys, addresses: Addresses) -> dict[str, str]:
        hidden = {variant for name in _NOT_INHERITED for variant in (name, f"{name}_FILE")}
        inherited = {name: value for name, value in self._environment.items() if name not in hidden}
        return {
            **inherited,
            **home.mark(self._data_dir),
            "DATABASE_URL": addresses.database_url,
            "REDIS_URL": addresses.redis_url,
            "SECRET_KEY_FILE": str(keys.secret_key.path),
            "SECRETS_KEYS_FILE": str(keys.secrets_keys.path),
            "CRON_SECRET_FILE": str(keys.cron_secret.path),
            "DATA_DIR": str(self._data_dir),
            "WORKERS": str(self._options.workers),
            "ALLOWED_NETWORKS": self._options.allowed_networks or PRIVATE_NETWORKS,
            "OWN_LISTENERS": ",".join(
                [
                    f"127.0.0.1:{addresses.web_port}",
                    f"127.0.0.1:{addresses.flower_port}",
                    *filter(None, [self._environment.get("OWN_LISTENERS")]),
                ]
            ),
            "PYTHONUNBUFFERED": "1",
            **self._find_public_url(addresses.web_port),
        }

    def _find_public_url(self, web_port: int) -> dict[str, str]:
        """Where messages of alerts lead, unless somebody has said so."""
        if self._environment.get("PUBLIC_URL") or self._environment.get("PUBLIC_URL_FILE"):
            return {}
        return {"PUBLIC_URL": _url_of(self._options, web_port)}

    def _prepare(self, workspace: str, keys: Keys) -> str:
        """Migrations, static files, the administrator; returns the token that it prints."""
        log = self._logs / "prepare.log"
        argv = [sys.executable, str(PROJECT / "manage.py"), "prepare", "--workspace", workspace]
        env = {**self._env, "CONSOLE_PASSWORD": keys.console_password.value}
        with (
            tempfile.TemporaryFile() as output,
            os.fdopen(logs.open_log(log), "ab") as errors,
        ):
            status = self._launcher.run(argv, env, output.fileno(), errors.fileno())
            output.seek(0)
            lines = output.read().decode("utf-8").strip().splitlines()
        if status != 0:
            raise ChildFailed("prepare", f"ended with status {status}", logs.tail(log))
        try:
            told = json.loads(lines[-1])
            for warning in told["warnings"]:
                self._say(f"WARNING: {warning}")
            return str(told["token"])
        except (IndexError, ValueError, KeyError, TypeError) as error:
            raise StackError("prepare printed no token") from error

    def _demonstrate(self, hosts: SampleHosts) -> int:
        """Syncs both sample hosts and sends readings; 0 when all records succeeded and each reading came once."""
        argv = [sys.executable, str(PROJECT / "manage.py"), "demonstrate"]
        return self._launcher.run(argv, {**self._env, **hosts.environment()})


def _url_of(chosen: Options, web_port: int) -> str:
    host = programs.find_loopback(chosen.web_host)
    return f"http://{f'[{host}]' if ':' in host else host}:{web_port}"


_SHARED = (
    *("DATABASE_URL", "REDIS_URL", "DATA_DIR", "SECRET_KEY_FILE", "SECRETS_KEYS_FILE"),
    *("ALLOWED_NETWORKS", "OWN_LISTENERS"),
)
