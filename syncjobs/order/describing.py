"""Options in words; and the page of all of them: `python -m syncjobs.order.describing > docs/job_options.md`."""

from __future__ import annotations

import sys

from syncjobs.order.files import FileOrder
from syncjobs.order.job import GROUPS, OPTIONS
from syncjobs.order.option import Form, Option, options_of

_HEAD = """# Options of a job

This page is made from `syncjobs/order`; a test holds the two together. The names are those of YAML and of JSON, in
bodies and in answers. An option that stands below `limits` is written as `limits: {max_files: 1000}`.

In a new job, what is left out gets its default. In a change, what is left out stays; null gives the default back, or
what the last column says. [What a job does with files](jobs.md), [schedules](schedules.md) and
[limits](limits.md) say more.
"""
_NAMELESS = "The job"
_FILES_ALONE = "Only jobs of files have the options of this table.\n"


def describe_all() -> str:
    """Markdown, one table for each group."""
    files = {option.name for option in options_of(FileOrder)}
    parts = [_HEAD]
    for group in GROUPS:
        options = options_in(group)
        parts.append(f"## {group or _NAMELESS}\n")
        if all(option.name in files for option in options):
            parts.append(_FILES_ALONE)
        parts.append("| option | | value | default | null |\n|---|---|---|---|---|")
        parts.append("\n".join(_row(option) for option in options) + "\n")
    return "\n".join(parts)


def options_in(group: str) -> list[Option]:
    """Returns the options as they were declared, the advanced ones last."""
    found = [option for option in OPTIONS.values() if option.about.group == group]
    return sorted(found, key=lambda option: option.about.advanced)


def describe(option: Option) -> str:
    """Describes an option in sentences, without the label: what it does, what each choice means, and what it needs."""
    about = option.about
    parts = [about.help]
    if option.choices:
        meant = [f"`{choice}`: {about.words[choice]}" for choice in option.choices]
        parts.append(f"{'; '.join(meant)}.")
    if about.only_with:
        other, value = about.only_with
        parts.append(f"Only with `{other}: {value}`.")
    if about.clocked:
        parts.append("Only with schedules that have fires of their own.")
    return " ".join(parts)


def describe_null(option: Option) -> str:
    """What null means for it; empty: null is refused."""
    if option.required:
        return ""
    return option.about.null or "the default"


def describe_default(option: Option) -> str:
    if option.required:
        return "required"
    if option.about.settings:
        return option.about.settings
    if isinstance(option.default, bool):
        return f"`{str(option.default).lower()}`"
    return f"`{option.default}`" if option.default not in (None, "", ()) else ""


def _row(option: Option) -> str:
    name = f"{option.about.within}.{option.name}" if option.about.within else option.name
    cells = [
        f"`{name}`",
        f"**{option.about.label}.** {describe(option)}",
        _value(option),
        describe_default(option),
        describe_null(option),
    ]
    return " | ".join(["", *(cell.replace("|", "\\|") for cell in cells), ""]).strip()


def _value(option: Option) -> str:
    """What may be given: the kind of value, its bounds, its unit."""
    about = option.about
    if option.form is not Form.WHOLE:
        return f"{option.form}, up to {about.most} characters" if about.most else option.form
    most = f" to {about.most}" if about.most is not None and about.most < 1_000_000 else " or more"
    return f"{about.least}{most}{f' {about.unit}' if about.unit else ''}"


if __name__ == "__main__":
    sys.stdout.write(describe_all())
