"""What the console's templates need to say figures in words."""

from __future__ import annotations

from django import template

from console import labels, words

register = template.Library()

register.filter("size", words.size_words)
register.filter("span", words.span_words)
register.filter("hex", words.hex_words)
register.filter("grouped", words.group_digits)
register.filter("named", words.code_words)
register.filter("path", words.path_words)
register.filter("moment", labels.moment)
register.filter("label", labels.label)
register.filter("online", labels.online)
register.filter("bar", labels.bar)
register.filter("heartbeat", labels.heartbeat)
register.filter("taken", labels.taken)
register.filter("changes", labels.changes)
register.filter("page", labels.find_page_url)
