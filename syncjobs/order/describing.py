"""Options in words; and the page of all of them: `python -m syncjobs.order.describing > docs/job_options.md`."""

from __future__ import annotations

import sys

from syncjobs.order.job import GROUPS, OPTIONS, find_work_of
from syncjobs.order.option import Form, Option

_HEAD = """# Options of a job

This page is made from `syncjobs/order`; a test holds the two together. The names are those of YAML and of JSON, in
bodies and in answers. An option that stands below `limits` is written as `limits: {max_files: 1000}`. A job is of
files or of rows, as the kind of its connector says; an option of the other kind of job is refused.

In a new job, what is left out gets its default. In a change, what is left out stays; null gives the default back, or
what the last column says. [What a job does with files](jobs.md), [with rows](rows.md), [schedules](schedules.md) and
[limits](limits.md) say more.
"""
_NAMELESS = "The job"


def describe_all() -> str:
    """Markdown, one table for each group."""
    parts = [_HEAD]
    for group in GROUPS:
        options = options_in(group)
        parts.append(f"## {group or _NAMELESS}\n")
        works = {find_work_of(option.name) for option in options}
        owner = works.pop() if len(works) == 1 else None
        if owner is not None:
            parts.append(f"Only jobs of {owner} have the options of this table.\n")
        parts.append("| option | | value | default | null |\n|---|---|---|---|---|")
        parts.append("\n".join(_row(option, alone=owner is None) for option in options) + "\n")
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
    if about.fixed:
        parts.append("It cannot change while the dataset has versions.")
    return " ".join(parts)


def describe_owner(option: Option) -> str:
    """Says which jobs have the option; empty where all have it."""
    work = find_work_of(option.name)
    return "" if work is None else f"Only jobs of {work} have it."


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


def _row(option: Option, *, alone: bool) -> str:
    """`alone`: no sentence above the table says which jobs have the option."""
    name = f"{option.about.within}.{option.name}" if option.about.within else option.name
    owner = describe_owner(option) if alone else ""
    cells = [
        f"`{name}`",
        f"**{option.about.label}.** {describe(option)} {owner}".strip(),
        _value(option),
        describe_default(option),
        describe_null(option),
    ]
    return " | ".join(["", *(cell.replace("|", "\\|") for cell in cells), ""]).strip()


def _value(option: Option) -> str:
    """What may be given: the kind of value, its bounds, its unit."""
    about = option.about
    if option.form is Form.STRUCTURE and about.structure is not None:
        kinds = [told.get("type") for told in about.structure.schema.get("anyOf", [])]
        return "text or mapping" if "string" in kinds else "mapping"
    if option.form not in (Form.WHOLE, Form.NUMBER):
        return f"{option.form}, up to {about.most} characters" if about.most else option.form
    most = f" to {about.most}" if about.most is not None and about.most < 1_000_000 else " or more"
    return f"{about.least}{most}{f' {about.unit}' if about.unit else ''}"


if __name__ == "__main__":
    sys.stdout.write(describe_all())
