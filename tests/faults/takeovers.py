"""P8's figure: seconds from the SIGKILL of a record's worker to the record's next claim, at the
production pace of lease, heartbeat and reaper."""

from __future__ import annotations

import time

from tests.faults.plans import Plan, make_plan
from tests.faults.running import Report, Runner, Say
from tests.faults.stand import Stand, start_processes, switch_on
from tests.proxy import Weather

WORKERS = 5
SLOW = 10_000  # bytes a second of a host: its records are under way for a minute and more
GAP_S = 4.0  # from kill to kill
_PATIENCE_S = 900.0


def plan_for_kills(seed: int) -> Plan:
    """No faults but the kills, and sources that change as ever."""
    return make_plan(seed, _PATIENCE_S, kinds=())


class KillRunner(Runner):
    """Kills one worker after another, each with records in work, until there were so many kills."""

    def __init__(self, stand: Stand, say: Say, kills: int, *, verbose: bool = False) -> None:
        super().__init__(stand, say, verbose=verbose)
        self._kills = kills

    def run(self) -> Report:
        start_processes(self._stand, workers=WORKERS, indexers=0)
        self._wait_for_start()
        for proxy in self._stand.proxies:
            proxy.weather = Weather(bytes_per_s=SLOW)
        switch_on(self._stand)
        self._begin()
        deadline = time.monotonic() + _PATIENCE_S
        next_at = time.monotonic() + 10
        while len(self._stand.processes.killed) < self._kills and time.monotonic() < deadline:
            self._step()
            if time.monotonic() >= next_at and self._kill_one():
                next_at = time.monotonic() + GAP_S
        self._wait_for_takeovers()
        return self._finish()

    def _wait_for_takeovers(self) -> None:
        """With the hosts as slow as before: else the living would soon hold fewer leases than the dead."""
        dead = [name for name, _ in self._stand.processes.killed]
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            self._step()
            rows = self._stand.query(
                "SELECT r.id FROM syncjobs_syncrecord r JOIN faults.history h"
                "  ON h.record = r.id AND h.what = 'event' AND h.data->>'event' = 'claimed'"
                "  AND (h.data->>'token')::bigint = r.token"
                " WHERE r.state = 'running' AND h.process = ANY(%(dead)s)",
                {"dead": dead},
            )
            if rows == []:
                return

    def _kill_one(self) -> bool:
        """The worker that has held records for longest; another takes its place at once."""
        rows = self._stand.query(
            "SELECT h.process, min(h.at) FROM syncjobs_syncrecord r JOIN faults.history h"
            "  ON h.record = r.id AND h.what = 'event' AND h.data->>'event' = 'claimed'"
            "  AND (h.data->>'token')::bigint = r.token"
            " WHERE r.state = 'running' AND h.at < now() - interval '3 s'"
            " GROUP BY h.process ORDER BY count(*) DESC, min(h.at)"
        )
        held = [name for name, _ in rows or []]
        working = {
            process.name: process
            for process in self._stand.processes.workers
            if process.is_alive() and process.is_ready()
        }
        name = next((name for name in held if name in working), None)
        if name is None:
            return False
        self._now_doing = f"killed {name}"
        self._stand.processes.kill(working[name])
        self._stand.start_worker_in_place_of(working[name])
        self._injected += 1
        return True
