"""What the console's templates need to say figures in words, and to put pieces together (docs/console-parts.md)."""

from __future__ import annotations

from typing import Any

from django import template
from django.urls import reverse
from django.utils.safestring import SafeString

from console import charts, labels, live, words
from console.fresh_tokens import find_fresh_token

register = template.Library()

register.filter("size", words.size_words)
register.filter("span", words.span_words)
register.filter("hex", words.hex_words)
register.filter("grouped", words.group_digits)
register.filter("named", words.code_words)
register.filter("path", words.path_words)
register.filter("plain", words.show_unprintable)
register.filter("moment", labels.moment)
register.filter("clock", labels.clock)
register.filter("label", labels.label)
register.filter("tone", labels.find_tone)
register.filter("online", labels.online)
register.filter("bar", labels.bar)
register.filter("heartbeat", labels.heartbeat)
register.filter("taken", labels.taken)
register.filter("changes", labels.changes)
register.filter("page", labels.find_page_url)
register.simple_tag(labels.icon, name="icon")
register.simple_tag(charts.draw_progress, name="progress")


@register.simple_tag(name="fresh_token", takes_context=True)
def fresh_token(context: Any) -> dict[str, str] | None:
    """The token that this person has just made: `{% fresh_token as fresh %}`."""
    request = context.get("request")
    return find_fresh_token(request) if request is not None else None


@register.simple_tag(name="live")
def live_attributes(every_s: int, words: str, view: str, *args: Any) -> SafeString:
    """The attributes of a fragment's outermost element: `{% live 3 "2 run" "admin:view" pk %}`."""
    return live.write_attributes(reverse(view, args=args), every_s, words)
