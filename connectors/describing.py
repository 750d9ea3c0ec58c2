"""Makes the page of protocols from the SPECs: `python -m connectors.describing > docs/protocols.md`."""

from __future__ import annotations

import sys

from farends.registry import SPECS
from farends.spec import OptionField, Spec, option_fields

_HEAD = """# Protocols

Made from the SPECs in `farends/*/transport.py`; a test holds the two together. Options go into a
connector's `options`, secrets into its `secret`, in YAML as in the console.
"""

_CUT = """\
## Downloads that were cut

The next attempt goes on where the cut one ended only if the host proves that its file still begins with
what is here. Otherwise the download starts again from the first byte: size and time are the same where a
file was replaced quietly, and two halves of two files must never become one.

| kind | what proves it | starts again |
|---|---|---|
| SFTP | the digest of `check-file`, or of `sha256sum` (or `shasum`, `sha256`, `openssl`) where the log-in may run commands | hosts with neither |
| SSH | the digest of the same programs; not asked for less than 8 MiB | hosts with none of them |
| FTP, FTPS | the digest of `XSHA256` with a range, or of `HASH` with `RANG` | hosts with neither |
| HTTP, HTTPS, WebDAV | `If-Range` with a strong ETag that tells more than size and time | hosts without one; ETags of nginx, Apache, Caddy and rclone are made of size and time |
| rsync, MCP | nothing | always |

## What a sync of an MCP server reads

Nothing that the server tells of a resource proves that it is unchanged: no size, type or time. So each sync reads every
resource, and its SHA-256 decides; an unchanged one makes no new version, whatever the job's `comparison` is. The
listing is read to its end before anything else. If it comes back to an earlier page, names a URI twice, has more than
`max_resources`, or answers an error, the record fails and removes nothing. `max_resources` counts all that the server
lists, also what `include_uris` does not take.

A server that lists no resource, has no templates of resources and offers tools fails the connection test and the sync
of an empty dataset (`mcp_tools_only`). Where the dataset holds files, the record is held (`empty_listing`), as for any
source that lists nothing.

If one read fails, that file fails, and what is held of it stays; the record is `partial`. After a 401 of a read the
server is asked for its listing: if it refuses that too, the token is refused and the record fails; otherwise that file
alone fails.

The path of a file is made of its URI: scheme, authority and path, such as `kit/notes/a.md` for `kit://notes/a.md`. If
two URIs come to one path, the later has the first 8 digits of its SHA-256 in its name, as in `a (1a2b3c4d).md`; so has
a URI whose path is a folder of another. The URI itself is kept as `source` of the entry.

A server that only starts as a command (stdio) cannot be a connector: no option names a command.

## What the rsync program reaches

rsync runs here as a program of its own, beside the worker. Where the kernel has Landlock (Linux 5.13 and
later, unless it is switched off), that program and the `ssh` that it starts reach programs, libraries and
one private folder, and no other file of their user. The connection test says so where the kernel has none.
They get 512 MiB of memory.
"""


def describe_kinds() -> str:
    """Markdown, one section for each kind."""
    return "\n".join([_HEAD, *(_describe(spec) for spec in SPECS.values()), _CUT])


def _describe(spec: Spec) -> str:
    lines = [
        f"## {spec.title}",
        "",
        f"kind `{spec.kind}`, port {spec.default_port}{_removes(spec)}",
        "",
    ]
    lines += ["| option | | default |", "|---|---|---|"]
    lines += [_row(field, "required") for field in option_fields(spec.options)]
    lines += ["", "| secret | | |", "|---|---|---|"]
    lines += [_row(field, "required") for field in option_fields(spec.secret)]
    return "\n".join([*lines, ""])


def _removes(spec: Spec) -> str:
    return "" if spec.open_remover is None else "; can delete and move files (`after_publish`)"


def _row(field: OptionField, required: str) -> str:
    default = required if field.required else _show(field.default)
    choices = f" One of {', '.join(field.choices)}." if field.choices else ""
    words = f"{field.label}. {field.help}{choices}".replace("|", "\\|")
    return f"| `{field.name}` | {words} | {default} |"


def _show(default: object) -> str:
    if default in ("", None, ()):
        return ""
    if isinstance(default, bool):
        return "true" if default else "false"
    return f"`{default}`"


if __name__ == "__main__":
    sys.stdout.write(describe_kinds())
