"""The contract: what a backend implements. Its sessions do the work; optional powers are small Protocols.

Every method may raise the errors of ``iotstore.errors``; a driver's own exception never leaves a backend.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol, TextIO, runtime_checkable

from iotstore._waist.capabilities import Capabilities, Durability, Limits
from iotstore._waist.layout import Holding, Layout, Type
from iotstore._waist.sessions import ReadSession, WriteSession


class Check(NamedTuple):
    """One line of a health report: what was looked at, how it is ("ok", "warning" or "failed"), and the finding."""

    name: str
    status: str
    detail: str


class Place(NamedTuple):
    """How much one collection takes: rows, and bytes where the engine can tell."""

    name: str
    rows: int
    bytes: int | None


class Backend(ABC):
    """One open database. Made by the class method ``connect`` from a URL; used from many threads."""

    #: The scheme it is found by, and its name in messages.
    name: ClassVar[str]
    #: How each column type is held. Types left out are held as they are.
    holds: ClassVar[Mapping[Type, Holding]] = {}
    capabilities: Capabilities
    limits: Limits
    durability: Durability

    @classmethod
    @abstractmethod
    def connect(cls, settings: Settings) -> Backend:
        """Open the database that the settings name. A foreign, damaged or newer one is an error of its own, and is
        not touched; a missing one is created empty unless the settings forbid it."""

    @classmethod
    @abstractmethod
    def options(cls) -> Mapping[str, Option]:
        """The settings that this backend understands beside the URL, by name. Unknown ones are refused by the core."""

    @classmethod
    @abstractmethod
    def declared(cls) -> Capabilities:
        """What an ordinary store of this backend can do; an open one's ``capabilities`` may differ by its URL."""

    @abstractmethod
    def read(self) -> ReadSession:
        """A session for one call."""

    @abstractmethod
    def snapshot(self) -> ReadSession:
        """A session that sees one committed state until it is closed or reaches the declared age (then: Busy)."""

    @abstractmethod
    def write(self) -> WriteSession:
        """A transaction that has begun."""

    def declare(self, layouts: Sequence[Layout]) -> None:  # noqa: B027 - most have nothing to do
        """Told once which layouts the store has, when they are all as declared: what an engine may do for them beyond
        the schema operations, such as cutting one with *parts*, it does now."""

    @abstractmethod
    def close(self) -> None:
        """Give back every connection, thread and file. Allowed twice. Later calls raise NotAllowed."""

    @abstractmethod
    def describe(self) -> Mapping[str, str]:
        """Engine (under ``engine``), versions, place (no secrets) and the settings in force, for people.

        A store in a file says which one under ``file``, one on a server what it is called under ``name``: its backups
        lie in a folder of that name.
        """

    @abstractmethod
    def health(self) -> list[Check]:
        """What the backend knows about its own state. Quick: no full scans."""

    def metrics(self) -> Mapping[str, float]:
        """What the backend counts about itself while it is open, by name; one that counts nothing says nothing. Quick:
        no statement is sent."""
        return {}

    @abstractmethod
    def verify(self) -> list[Check]:
        """A full check of the stored data's integrity; reads everything."""

    @abstractmethod
    def places(self, layouts: Sequence[Layout]) -> list[Place]:
        """How much each layout takes, then the points under the name ``points``."""

    @abstractmethod
    def optimise(self, *, compact: bool) -> Mapping[str, str]:
        """Refresh statistics and tidy logs; with *compact* give back free space (COMPACTION). Says what was done."""


@runtime_checkable
class NativeBackup(Protocol):
    """The power behind NATIVE_BACKUP. A native backup is one file.

    Backups are proven in scratch stores, which are gone once they are closed. *settings* say where one may be made: an
    engine that keeps files needs none and makes it beside the file or in the folder it is given, a server makes it
    near the place that they name.
    """

    #: The end of a native backup file's name, with its dot.
    native_suffix: ClassVar[str]
    #: Whether a store is a file at ``settings.path``, so that a scratch store needs no more than a folder.
    keeps_files: ClassVar[bool]

    def copy_out(self, target: Path, session: ReadSession, progress: Callable[[int, int], None]) -> None:
        """Copy the state that *session* (a snapshot) sees to the new file *target*, while writers write."""
        ...

    @classmethod
    def open_copy(cls, source: Path, settings: Settings, progress: Callable[[int, int], None]) -> Backend:
        """Open a backup file, or a scratch store restored from it, to look at it. The file is not changed."""
        ...

    @classmethod
    def open_scratch(cls, folder: Path, settings: Settings) -> Backend:
        """Open a new, empty scratch store, to load a portable backup into."""
        ...

    @classmethod
    def check_free(cls, settings: Settings) -> None:
        """Raise NotAllowed when a store is in the place that *settings* name already. Nothing is made or changed."""
        ...

    def install(self, settings: Settings, progress: Callable[[int, int], None], *, replace: bool) -> str | None:
        """Put what this store holds, one of ``open_copy`` or ``open_scratch`` that is proven, in the place that
        *settings* name. Atomic: the old or the new, never a mixture. Afterwards it is closed.

        An existing store there is refused, or with *replace* kept beside it; returns where: a path, or the name that
        the server has for it.
        """
        ...


class Script(Protocol):
    """What a script of a store holds: how many nodes and edges, and the digest of its lines."""

    @property
    def nodes(self) -> int:
        """How many nodes it makes."""
        ...

    @property
    def edges(self) -> int:
        """How many edges it draws."""
        ...

    @property
    def digest(self) -> str:
        """The digest of its lines."""
        ...


@runtime_checkable
class Scripts(Protocol):
    """What a backend may have that keeps edges as such: a store as a script in the engine's own language."""

    def write_script(self, out: TextIO) -> Script:
        """Write the store as a script, line by line, in one state."""
        ...

    @classmethod
    def take_script(cls, settings: Settings, source: Path) -> Script:
        """Make the store that a script describes in the place of *settings*, where there must be none; what was made
        is compared with it."""
        ...


class Explained(NamedTuple):
    """A statement as the engine got it, its plan (a line a step, what belongs to a step indented under it), and how
    many times it ran with that plan."""

    statement: str
    plan: tuple[str, ...]
    times: int = 1


@runtime_checkable
class Explains(Protocol):
    """The power behind EXPLAIN."""

    def explaining(self, told: Callable[[Explained], object]) -> ReadSession:
        """A session for reads that tells of every statement, with its plan, before it runs it."""
        ...


class Option(NamedTuple):
    """One setting: its type, its default, and one sentence. *secret* ones are never shown."""

    value_type: type[str | int | float | bool]
    default: str | int | float | bool | None
    help: str
    secret: bool = False
    choices: tuple[str, ...] = ()


class Settings(NamedTuple):
    """What a backend is opened with: the parts of the URL, and every option of ``Backend.options`` with its value.

    *path* is what follows the third slash of the URL. *display* is the URL without secrets, the only form for messages.
    With *create* false nothing is made: what is not there is Unreachable.
    """

    scheme: str
    user: str | None
    password: str | None
    hosts: tuple[tuple[str, int | None], ...]
    path: str
    display: str
    options: Mapping[str, str | int | float | bool | None]
    create: bool = True

    def __repr__(self) -> str:
        # Also what a traceback with its variables shows.
        return f"<Settings of {self.display}>"
