"""Log lines are facts: a stable event name and fields, one line each, the record's id by context."""

from __future__ import annotations

import logging.config
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

FOREIGN: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]

_RENDERER = structlog.processors.LogfmtRenderer(
    key_order=["timestamp", "level", "logger", "event"], drop_missing=True, bool_as_flag=False
)


def _one_line(value: object) -> object:
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in value
    )


def _printable_keys(event: EventDict) -> dict[str, Any]:
    return {key.replace(" ", "_"): _one_line(value) for key, value in event.items()}


def render(logger: WrappedLogger, name: str, event: EventDict) -> str:
    event = structlog.processors.format_exc_info(logger, name, event)
    event.pop("_record", None)
    event.pop("_from_structlog", None)
    return str(_RENDERER(logger, name, _printable_keys(event)))


def configure(config: dict[str, Any]) -> None:
    """Django's LOGGING_CONFIG: the standard library carries, structlog renders."""
    config["formatters"]["facts"] = {
        "()": structlog.stdlib.ProcessorFormatter,
        "processor": render,
        "foreign_pre_chain": FOREIGN,
    }
    logging.config.dictConfig(config)
    structlog.configure(
        processors=[*FOREIGN, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
