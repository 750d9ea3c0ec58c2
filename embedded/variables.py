"""The reader of environment variables, for the settings and for the launcher.

Every NAME may be given as NAME_FILE, a path whose content is the value. Blanks around a value do not count. An empty
value is the same as none, except for lists: there it is a list of nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from embedded.errors import WrongVariable

_YES = frozenset({"1", "true", "yes", "on", "y", "ok"})
_NO = frozenset({"0", "false", "no", "off", "n"})


class Variables:
    """The variables of one environment. Every method raises WrongVariable."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def find_set(self, name: str) -> str | None:
        """NAME, or the content of the file that NAME_FILE names; None where neither is set."""
        if path := self._environment.get(f"{name}_FILE"):
            try:
                return Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as exc:
                reason = getattr(exc, "strerror", None) or "it is not UTF-8"
                raise WrongVariable(f"cannot read {name}_FILE {path}: {reason}") from exc
        text = self._environment.get(name)
        return None if text is None else text.strip()

    def find(self, name: str) -> str | None:
        """Returns None also if it is empty."""
        return self.find_set(name) or None

    def text(self, name: str, default: str = "") -> str:
        return self.find(name) or default

    def words(self, name: str, default: str = "") -> tuple[str, ...]:
        """Reads words that commas separate."""
        text = self.find_set(name)
        return split_words(default if text is None else text)

    def flag(self, name: str, *, default: bool = False) -> bool:
        text = self.text(name, "yes" if default else "no").lower()
        if text not in _YES | _NO:
            raise WrongVariable(f"{name} must be yes or no, and is {text!r}")
        return text in _YES

    def whole(self, name: str, default: int) -> int:
        found = self.find_whole(name)
        return default if found is None else found

    def find_whole(self, name: str) -> int | None:
        text = self.find(name)
        try:
            return None if text is None else int(text)
        except ValueError:
            raise WrongVariable(f"{name} must be a whole number, and is {text!r}") from None

    def whole_within(self, name: str, default: int, least: int, most: int) -> int:
        text = self.find(name) or str(default)
        if not text.isdecimal() or not least <= int(text) <= most:
            raise WrongVariable(f"{name} must be a number from {least} to {most}, not {text!r}")
        return int(text)

    def number(self, name: str, default: float) -> float:
        text = self.find(name)
        try:
            return default if text is None else float(text)
        except ValueError:
            raise WrongVariable(f"{name} must be a number, and is {text!r}") from None


def split_words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
