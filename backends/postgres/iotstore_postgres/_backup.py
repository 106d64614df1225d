"""Native backups: one archive of one schema by ``pg_dump``, restored and put in place by ``pg_restore``.

``pg_restore`` can't give a schema another name, and restoring under the store's own name would show a half-filled store
to everybody. So an archive is restored into a scratch database, where names are free, and proven there. To be installed
the schema gets a name that nobody else has, is carried over to the target database by the same programs, and takes the
place of the old one at the end, by renaming both in one transaction. Whatever ends a restore before, the store is as it
was; what is left behind has a scratch place's name and is removed by the next one.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from iotstore.backend import BackupError, NotAllowed, ReadSession, Settings
from iotstore_postgres import _swap, _timescale
from iotstore_postgres._errors import translating
from iotstore_postgres._options import quoted
from iotstore_postgres._scratch import ScratchDatabase, ScratchSchema, ask, connect_to
from iotstore_postgres._sessions import PostgresSnapshot
from iotstore_postgres._tools import Archive, Login, Tool, Version, opened, run, tool_for

Progress = Callable[[int, int], None]

# Connections at once. More than this help only servers that are not also busy with their own work.
_JOBS: Final = min(4, os.cpu_count() or 1)
_SIZES: Final = (
    "SELECT n.nspname || '.' || c.relname, pg_catalog.pg_table_size(c.oid)"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE (n.nspname = $1::text OR $2::bool AND n.nspname = '_timescaledb_internal') AND c.relkind = 'r'"
)
# A partition is looked at with its table.
_TABLES: Final = (
    "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
)
_BEGUN: Final = re.compile(r'pg_dump: dumping contents of table "(.*)"\Z')
# What it says of each entry depends on whether it works in parallel.
_DONE: Final = re.compile(r"pg_restore: (?:processing|finished) (item \d+) ")
_DONE_ALONE: Final = re.compile(r"pg_restore: ((?:creating|processing data for|executing SEQUENCE SET) .*)")


def copy_out(target: Path, session: ReadSession, schema: str, progress: Progress) -> None:
    """Write the state that *session* sees to the new file *target*."""
    if not isinstance(session, PostgresSnapshot):
        raise NotAllowed("a copy is taken from a snapshot of a PostgreSQL store")
    tool = tool_for("pg_dump", Version.of(session.connection))
    _claim(target)
    began = time.monotonic()
    session.pinned = True  # a copy takes as long as it takes: ending it half-way would leave no backup at all
    try:
        _dump(tool, target, session, schema, progress)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        session.deadline += time.monotonic() - began
        session.pinned = False


def _dump(tool: Tool, target: Path, session: PostgresSnapshot, schema: str, progress: Progress) -> None:
    # The server ends what does nothing inside a transaction, and the program is to read from this one.
    session.rows_of_nothing("SET LOCAL idle_in_transaction_session_timeout = 0")
    ((snapshot,),) = session.rows("SELECT pg_catalog.pg_export_snapshot()", ())
    connection = session.connection
    with translating():
        whole = _timescale.has_hypertables(connection, schema)
    sizes = {str(name): int(size) for name, size in session.rows(_SIZES, (schema, whole))}
    what = [] if whole else ["--strict-names", f"--schema={quoted(schema)}"]
    run(
        tool,
        ["--format=custom", "--verbose", *what, f"--snapshot={snapshot}", f"--file={target}"],
        Login.of(connection, connection.info.dbname),
        _Dumped(sizes, progress).hear,
    )
    session.rows_of_nothing("SET LOCAL idle_in_transaction_session_timeout TO DEFAULT")
    total = max(sum(sizes.values()), 1)
    progress(total, total)


def _claim(target: Path) -> None:
    # Made here, for its owner only: pg_dump writes over what is there, with whatever rights that has.
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError as error:
        raise BackupError(f"{target} exists already", hint="choose another name; nothing was overwritten") from error
    except OSError as error:
        raise BackupError(f"{target} can't be written: {error.strerror}") from error


class _Dumped:
    """Turns what pg_dump says into how much is done, by the sizes of the tables."""

    def __init__(self, sizes: Mapping[str, int], progress: Progress) -> None:
        self._sizes, self._progress = sizes, progress
        self._total = max(sum(sizes.values()), 1)
        self._done = self._current = 0

    def hear(self, line: str) -> None:
        """Look at one line."""
        found = _BEGUN.search(line)
        if found:  # so the one before it is finished
            self._done += self._current
            self._current = self._sizes.get(found[1], 0)
            self._progress(min(self._done, self._total), self._total)


class _Restored:
    """Turns what pg_restore says into how many entries of the archive are done."""

    def __init__(self, archive: Archive, progress: Progress, *, parallel: bool) -> None:
        self._total, self._progress = max(archive.entries, 1), progress
        self._entry = _DONE if parallel else _DONE_ALONE
        self._done: set[str] = set()

    def hear(self, line: str) -> None:
        """Look at one line."""
        found = self._entry.match(line)
        if found:
            self._done.add(found[1])
            self._progress(min(len(self._done), self._total), self._total)


def restore_copy(source: Path, settings: Settings, progress: Progress) -> ScratchDatabase:
    """Restore an archive into a scratch database near the place that *settings* name, in the schema they name."""
    if not source.is_file():
        raise BackupError(f"there is no backup at {source}", hint="list them with `iotstore backup list`")
    # What is carried over takes as much room again as the backup: beside it, there was room once.
    folder = source.parent if os.access(source.parent, os.W_OK) else Path(tempfile.gettempdir())
    scratch = ScratchDatabase(settings, folder)
    try:
        archive = opened(source, Version.of(scratch.admin))
        scratch.exclusive = archive.hypertables
        if archive.hypertables:
            _timescale.before_restore(scratch)
        _fill(archive, Login.of(scratch.admin, scratch.name), progress)
        if archive.hypertables:
            _timescale.after_restore(scratch)
        _name_schema(source, scratch, _swap.schema_of(settings))
    except BaseException:
        scratch.drop()
        raise
    return scratch


# Whoever restores owns what is restored: the roles of the server it comes from may not exist here.
_AS_OURS: Final = ("--exit-on-error", "--no-owner", "--no-acl", "--no-tablespaces")


def _fill(archive: Archive, login: Login, progress: Progress) -> None:
    jobs = 1 if archive.hypertables else _JOBS
    arguments = ["--verbose", f"--jobs={jobs}", *_AS_OURS, str(archive.path)]
    run(archive.tool, arguments, login, _Restored(archive, progress, parallel=jobs > 1).hear)
    total = max(archive.entries, 1)
    progress(total, total)


def _name_schema(source: Path, scratch: ScratchDatabase, schema: str) -> None:
    with closing(connect_to(scratch.settings)) as connection, translating():
        found = [name for (name,) in ask(connection, _timescale.FILLED)]
        if len(found) != 1:
            raise BackupError(
                f"{source.name} holds {len(found)} schemas with tables, not one", hint="use another backup"
            )
        if found != [schema]:
            ask(connection, f"DROP SCHEMA IF EXISTS {quoted(schema)}")  # an empty one: public
            _swap.rename(connection, found[0], schema)


def install(
    place: ScratchDatabase | ScratchSchema, settings: Settings, progress: Progress, *, replace: bool
) -> str | None:
    """Put what a scratch place holds in the place that *settings* name; returns the new name of the schema that was
    there."""
    _swap.check_alone(place.admin, settings)
    if isinstance(place, ScratchSchema):
        return _put(place, settings, replace=replace)
    if place.exclusive:
        _analyze(place.settings)
        return _timescale.install(place, settings, replace=replace)
    schema = ScratchSchema(settings)
    try:
        _carry(place, schema, progress)
        return _put(schema, settings, replace=replace)
    finally:
        schema.drop()


def _put(made: ScratchSchema, settings: Settings, *, replace: bool) -> str | None:
    _analyze(made.settings)
    return _swap.swap(made.admin, made.name, settings, replace=replace)


def _analyze(settings: Settings) -> None:
    """Without statistics the first hours of the new store would be slow."""
    schema = _swap.schema_of(settings)
    with closing(connect_to(settings)) as connection, translating():
        for (table,) in ask(connection, _TABLES, schema):
            ask(connection, f"ANALYZE {quoted(schema)}.{quoted(table)}")


def _carry(copy: ScratchDatabase, schema: ScratchSchema, progress: Progress) -> None:
    """From the scratch database to a schema of the target's, through a folder, so that both ends work in parallel."""
    with closing(connect_to(copy.settings)) as connection, translating():
        _swap.rename(connection, _swap.schema_of(copy.settings), schema.name)
        version = Version.of(connection)
    folder = Path(tempfile.mkdtemp(prefix=".iotstore-restore-", dir=copy.folder))
    try:
        run(
            tool_for("pg_dump", version),
            [
                "--format=directory", "--compress=1", f"--jobs={_JOBS}", f"--schema={quoted(schema.name)}",
                f"--file={folder / 'schema'}",
            ],
            Login.of(copy.admin, copy.name),
        )  # fmt: skip
        archive = opened(folder / "schema", Version.of(schema.admin))
        _fill(archive, Login.of(schema.admin, schema.admin.info.dbname), progress)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
