"""One transaction: its session, what it changed, the numbers it took, and what to do when it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from iotstore._engine.changes import Action, Change
from iotstore._engine.numbers import Blocks, Numbers, Versions
from iotstore._kinds.kind import Kind
from iotstore._waist.sessions import WriteSession
from iotstore.errors import Busy, NotAllowed


class Hooks(Protocol):
    """Who is told of changes."""

    def before_commit(self, transaction: Transaction, changes: tuple[Change, ...]) -> None:
        """Called once, last before commit; what it writes is part of the transaction, what it raises undoes it."""
        ...

    def after_commit(self, changes: tuple[Change, ...]) -> None:
        """Called after commit; nothing it raises reaches the writer."""
        ...


class _Mark(NamedTuple):
    """Where a savepoint stands in what the transaction has collected."""

    changes: int
    on_commit: int
    on_rollback: int


class Transaction:
    """What the core holds while a thread is in a transaction. Hooks before commit get it as their argument."""

    __slots__ = (
        "_doomed",
        "_hooks",
        "_marks",
        "_on_commit",
        "_on_rollback",
        "_versions",
        "changes",
        "numbers",
        "session",
    )

    def __init__(self, session: WriteSession, hooks: Hooks, blocks: Blocks, versions: Versions) -> None:
        #: The session that everything of this transaction goes through.
        self.session = session
        #: What was changed so far in tracked kinds.
        self.changes: list[Change] = []
        #: Where generated ids come from.
        self.numbers = Numbers(blocks, session)
        self._hooks = hooks
        self._versions = versions
        self._on_commit: list[Callable[[], None]] = []
        self._on_rollback: list[Callable[[], None]] = []
        self._marks: list[_Mark] = []
        self._doomed: BaseException | None = None

    def changed(self, kind: Kind[Any], key: tuple[Any, ...], version: int, action: Action) -> None:
        """Note a change of a tracked record."""
        self._versions.saw(version)
        self.changes.append(Change(kind.name, key, version, action))

    def next_ids(self, kind: Kind[Any], count: int) -> range:
        """*count* ids for records of *kind*, larger than any that this store gave before, never given again."""
        return self.numbers.take(kind.name, count)

    def next_version(self) -> int:
        """The first version of a record that is inserted now."""
        return self._versions.next()

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call back once what was done so far is committed. Undone by a rollback to an earlier savepoint."""
        self._on_commit.append(callback)

    def on_rollback(self, callback: Callable[[], None]) -> None:
        """Call back if what was done so far is undone, by a rollback or to a savepoint."""
        self._on_rollback.append(callback)

    def begin_part(self) -> None:
        """Start a savepoint."""
        self.session.savepoint()
        self._marks.append(_Mark(len(self.changes), len(self._on_commit), len(self._on_rollback)))
        self.numbers.begin_part()

    def keep_part(self) -> None:
        """Keep what was done since the innermost savepoint."""
        self._marks.pop()
        self.numbers.keep_part()
        self.session.release()

    def undo_part(self) -> None:
        """Undo what was done since the innermost savepoint."""
        mark = self._marks.pop()
        self.numbers.undo_part()
        undone = self._on_rollback[mark.on_rollback :]
        del self.changes[mark.changes :], self._on_commit[mark.on_commit :], self._on_rollback[mark.on_rollback :]
        try:
            self.session.undo()
        finally:
            for callback in undone:
                callback()

    def doom(self, error: BaseException) -> None:
        """Allow only a rollback from here on: part of it failed and the backend can't undo parts."""
        self._doomed = self._doomed or error

    def commit(self) -> None:
        """Hand the changes to the hooks before commit, then commit."""
        if self._doomed is not None:
            raise NotAllowed(
                "a call inside this transaction failed and this backend can't undo part of one",
                hint="let the error leave the transaction block",
            ) from self._doomed
        try:
            if self.changes:
                self._hooks.before_commit(self, tuple(self.changes))
            self.session.commit()
        except Busy as error:
            error.victim = False  # others' code has run: it must not run again without its caller's knowledge
            raise
        self.numbers.committed()
        for callback in self._on_commit:
            callback()

    def rollback(self) -> None:
        """Leave no trace, in the store or in any cache."""
        try:
            self.session.rollback()
        finally:
            for callback in self._on_rollback:
                callback()
