"""The page of protocols, made from the SPECs: `python -m connectors.describing > docs/protocols.md`."""

from __future__ import annotations

import sys

from connectors.registry import SPECS
from connectors.spec import OptionField, Spec, option_fields

_HEAD = """# Protocols

Made from the SPECs in `connectors/transports`; a test holds the two together. Options go into a
connector's `options`, secrets into its `secret`, in YAML as in the console.
"""


def describe_all() -> str:
    """Markdown, one section for each kind."""
    return "\n".join([_HEAD, *(_describe(spec) for spec in SPECS.values())])


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
    default = required if field.required else _shown(field.default)
    choices = f" One of {', '.join(field.choices)}." if field.choices else ""
    words = f"{field.label}. {field.help}{choices}".replace("|", "\\|")
    return f"| `{field.name}` | {words} | {default} |"


def _shown(default: object) -> str:
    if default in ("", None, ()):
        return ""
    if isinstance(default, bool):
        return "true" if default else "false"
    return f"`{default}`"


if __name__ == "__main__":
    sys.stdout.write(describe_all())
