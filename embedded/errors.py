"""The errors that stop the one-machine stack. Each is one clear line.

StackError
├── ChildFailed      a program would not start; carries the last lines of its log
├── WrongVariable    a variable of the environment does not hold what it must
└── (StackError itself: a port, a folder, a second start, a missing wheel)
StopAsked            Ctrl-C or SIGTERM: no error, and no child of StackError
"""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot run as asked; the message is one line for the operator."""


class WrongVariable(StackError):
    """A variable of the environment does not hold what it must."""


class ChildFailed(StackError):
    """A program died or never became ready."""

    def __init__(self, name: str, reason: str, last_lines: str) -> None:
        super().__init__(f"{name} {reason}")
        self.last_lines = last_lines


class StopAsked(Exception):
    """The operator asked the stack to stop."""
