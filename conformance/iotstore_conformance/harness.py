"""The one object that a backend author writes, and how it is found by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias

import iotstore
from iotstore import Store

GROUP: Final = "iotstore.harnesses"
#: How an engine is reached: it runs inside the process and keeps its store in a file, or it is a server.
Engine: TypeAlias = Literal["embedded", "server"]

_ADDRESS: Final = re.compile(r"([^:/?#]+://)([^/?#]*@)?([^/?#]*)(.*)", re.DOTALL)


class OpenStore(Protocol):
    """Opens the store at *url*; the suite passes options of ``iotstore.open`` (kinds, clock, plugins, ...)."""

    def __call__(self, url: str, **options: object) -> Store:
        """An open store, created when there is none yet."""
        ...


def _open(url: str, **options: object) -> Store:
    return iotstore.open(url, **options)  # type: ignore[arg-type]  # handed on as they came


def at_address(url: str, host: str, port: int) -> str:
    """The same URL at another host and port; login, path and options stay."""
    match = _ADDRESS.fullmatch(url)
    if match is None:
        raise ValueError(f"a URL of {len(url)} characters has no address; write it like engine://host:port/name")
    return f"{match[1]}{match[2] or ''}{host}:{port}{match[4]}"


@dataclass(frozen=True, slots=True)
class Harness:
    """Where the stores of one backend live, and what kind of *engine* keeps them.

    *fresh* makes the name of a place that nobody used; *url* turns it into the URL of the store there; *drop* removes
    the place with all that is in it. *open* opens a URL, for backends whose store isn't simply opened. *connections*
    tells how many connections to a place the engine still sees: where it is given, a clause that leaves one open fails.

    Embedded engines: *file* is the file that holds the store of a place, which will be cut, damaged and locked; *full*
    is a block inside which there is no room for what an open store writes.

    Servers: *address* is the host and port where the store of a place is served. Clauses put a proxy before it that
    cuts and stalls, and *through* gives the URL at the proxy's address. *kill* ends the server as abruptly as possible
    and *start* starts it again. *server* is the environment variable that says which server to use: ``--server`` sets
    it.

    All: *foreign* puts something of another application, a table with a row, where the store of a URL would be, and
    gives a function that reads all that is there. A backend has to refuse it and leave it alone.

    Without *engine* it is what the other fields say; where nothing says it, the clauses about either are not run.
    """

    name: str
    fresh: Callable[[], str]
    url: Callable[[str], str]
    drop: Callable[[str], object] | None = None
    open: OpenStore = _open
    kill: Callable[[str], object] | None = None
    connections: Callable[[str], int] | None = None
    file: Callable[[str], Path] | None = None
    engine: Engine | None = None
    full: Callable[[Store], AbstractContextManager[object]] | None = None
    address: Callable[[str], tuple[str, int]] | None = None
    through: Callable[[str, str, int], str] = at_address
    start: Callable[[str], object] | None = None
    server: str | None = None
    foreign: Callable[[str], Callable[[], object]] | None = None

    def __post_init__(self) -> None:
        embedded, served = bool(self.file or self.full), bool(self.address or self.start)
        if self.engine not in (None, "embedded", "server"):
            raise ValueError(f"engine is {self.engine!r}; write embedded or server")
        if (embedded and served) or (embedded and self.engine == "server") or (served and self.engine == "embedded"):
            raise ValueError("file= and full= are of embedded engines, address= and start= of servers: can't be both")
        if self.engine is None and (embedded or served):
            object.__setattr__(self, "engine", "embedded" if embedded else "server")


class UnknownHarness(LookupError):
    """No installed package offers a harness of this name."""


def _offered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def harness_names() -> list[str]:
    """The names of all harnesses that installed packages offer."""
    return sorted(_offered())


def find_harness(name: str) -> Harness:
    """The harness that an installed package offers under *name*; it is imported only now."""
    point = _offered().get(name)
    if point is None:
        known = ", ".join(harness_names()) or "none"
        raise UnknownHarness(
            f"no harness {name!r} is installed (installed: {known}); name it in the entry point group {GROUP!r}"
        )
    found = point.load()
    if not isinstance(found, Harness):
        raise TypeError(f"the entry point {name!r} of {GROUP!r} gives a {type(found).__name__}, not a Harness")
    return found
