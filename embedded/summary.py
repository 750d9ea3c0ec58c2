"""What a stack tells its operator once it is up."""

from __future__ import annotations

from embedded.keys import Keys
from embedded.options import PRIVATE_NETWORKS, Options


def summarize(chosen: Options, keys: Keys, url: str, flower_url: str) -> str:
    networks = f"the Internet, and {chosen.allowed_networks or 'no private network'}"
    if chosen.allowed_networks is None:
        networks = (
            "the Internet, and as ALLOWED_NETWORKS is not set also loopback and private\n"
            f"               networks ({PRIVATE_NETWORKS})"
        )
    rows = [
        ("console", f"{url}/admin/   log in: admin / {keys.console_password.value}"),
        ("Flower", f"{flower_url}/   log in: admin / {keys.flower_password.value}"),
        ("data", f"{chosen.data_dir}   logs: log/   keys: keys/"),
        (
            "commands",
            f"run `python manage.py ...` beside it; {chosen.data_dir}/stack.env for shells",
        ),
        ("syncs reach", networks),
        ("stop", "Ctrl-C"),
    ]
    lines = [f"  {name:<12} {value}" for name, value in rows]
    return "\n".join(["", "SyncProject is up.", *lines, ""])
