"""Starts a child process that reaches only named files, by Landlock where the kernel has it (landlock(7)).

The kernel confines a thread and what it starts, for good. So a thread of its own confines itself, starts the
child and ends: the other threads keep what they can do, and no code runs between fork and exec.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

_T = TypeVar("_T")

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every processor
_ASK_VERSION = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES = 38
_EXECUTE, _WRITE, _READ, _READ_FOLDER = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL = 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE | _READ | _TRUNCATE | _IOCTL
_SCOPES = 0b11  # abstract sockets and signals of whoever is not confined with it
# What each version of the interface knows: bits of files and folders, and how long its settings are.
_VERSIONS = {1: (13, 8), 2: (14, 8), 3: (15, 8), 4: (15, 16), 5: (16, 16), 6: (16, 24)}

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
_SYSTEM_FILES = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/group",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/localtime",
    "/etc/ssl/openssl.cnf",
    "/etc/crypto-policies",
    "/dev/urandom",
    "/dev/random",
)
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a child may do beside using the system's own programs and libraries."""

    everything: tuple[Path, ...] = ()  # in these folders
    reading: tuple[Path, ...] = ()  # files and folders, and running what is in them
    listing: tuple[Path, ...] = ()  # only what folders below these are called


@cache
def landlock_version() -> int:
    """0: the kernel has none, or it is switched off."""
    if sys.platform != "linux":
        return 0
    return max(0, _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION)))


def start_confined(start: Callable[[], _T], reach: Confinement) -> _T:
    """What `start` returns or raises; what it starts is confined. Without Landlock nothing is."""
    version = landlock_version()
    if not version:
        return start()
    started: list[_T] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            _confine(version, reach)
            started.append(start())
        except BaseException as exc:  # noqa: BLE001 — carried to the caller, who raises it
            failed.append(exc)

    thread = threading.Thread(target=work, name="confined-start")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return started[0]


def _confine(version: int, reach: Confinement) -> None:
    """This thread, for good."""
    bits, length = _VERSIONS[min(version, max(_VERSIONS))]
    handled = (1 << bits) - 1
    settings = struct.pack("=QQQ", handled, 0, _SCOPES if length == 24 else 0)[:length]
    rules = _checked(_CREATE_RULESET, settings, ctypes.c_size_t(length), ctypes.c_uint32(0))
    try:
        _allow(rules, handled, reach.everything)
        system = map(Path, (*_SYSTEM, *_SYSTEM_FILES))
        _allow(rules, handled & (_EXECUTE | _READ | _READ_FOLDER), (*system, *reach.reading))
        _allow(rules, handled & (_READ | _WRITE), (Path("/dev/null"),))
        _allow(rules, _READ_FOLDER, reach.listing)
        if _libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
        _checked(_RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint32(0))
    finally:
        os.close(rules)


def _allow(rules: int, access: int, paths: Iterable[Path]) -> None:
    for path in paths:
        try:
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:  # what is not there needs no permission
            continue
        try:
            is_folder = stat.S_ISDIR(os.fstat(opened).st_mode)
            allowed = access if is_folder else access & _OF_FILES
            if allowed:
                rule = struct.pack("=Qi", allowed, opened)
                kind, flags = ctypes.c_int(_PATH_BENEATH), ctypes.c_uint32(0)
                _checked(_ADD_RULE, ctypes.c_int(rules), kind, rule, flags)
        finally:
            os.close(opened)


def _checked(number: int, *arguments: object) -> int:
    told = _call(number, *arguments)
    if told < 0:
        raise OSError(ctypes.get_errno(), f"landlock: {os.strerror(ctypes.get_errno())}")
    return told


def _call(number: int, *arguments: object) -> int:
    return int(_libc.syscall(ctypes.c_long(number), *arguments))
