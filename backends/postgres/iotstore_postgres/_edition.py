"""What the edition of TimescaleDB allows: policies where it is Timescale's own, and a reason where it is Apache's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, NamedTuple

from iotstore_postgres import _policies, _summaries
from iotstore_postgres._partitions import ALL
from iotstore_postgres._scratch import Connection, Run, told

#: The least for policies: compress_chunk takes up what came later.
_MINIMUM_OF_POLICIES: Final = (2, 18)
_MICROSECOND: Final = timedelta(microseconds=1)
#: The owner of the points.
OWNER: Final = (
    "SELECT quote_ident(pg_catalog.pg_get_userbyid(relowner)) FROM pg_catalog.pg_class"
    " WHERE oid = 'iotstore_points'::regclass"
)
_COMPRESSED: Final = (
    "SELECT compression_enabled FROM timescaledb_information.hypertables"
    " WHERE hypertable_schema = current_schema() AND hypertable_name = 'iotstore_points'"
)
_COMPRESS: Final = (
    f"ALTER TABLE {ALL} SET (timescaledb.compress, timescaledb.compress_segmentby = 'series',"
    " timescaledb.compress_orderby = 'time')"
)
#: Wishes that every server fulfils.
_NOTHING: Final = (None, _policies.NEVER, ())


class Wanted(NamedTuple):
    """What was asked for; None where nothing was said."""

    chunk: timedelta | None = None
    compress_after: timedelta | None = None
    retain: timedelta | None = None
    materialize: tuple[timedelta, ...] | None = None


class Server(NamedTuple):
    """TimescaleDB as the database has it."""

    functions: str
    licence: str
    version: str

    @property
    def lacks(self) -> str | None:
        """Why it has no policies; None if it has them."""
        if self.licence != "timescale":
            return "needs TimescaleDB's Timescale edition, and this server runs the Apache edition"
        if numbers(self.version) < _MINIMUM_OF_POLICIES:
            return f"needs TimescaleDB 2.18 or newer, and this is {self.version}"
        return None


def numbers(version: str) -> tuple[int, ...]:
    """Major and minor number."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def set_policies(
    connection: Connection, server: Server, wanted: Wanted, run: Run, *, plain: bool
) -> tuple[list[str], list[str]]:
    """Run what makes the policies as they are wanted; sentences about it, and statements for after the transaction."""
    if server.lacks is not None:
        return [], []
    compress_after = _policies.COMPRESS_AFTER if plain and wanted.compress_after is None else wanted.compress_after
    ages = {_policies.COMPRESSION: compress_after, _policies.RETENTION: wanted.retain}
    sentences: list[str] = []
    with _as_owner(connection, run) as run_owned:
        if compress_after not in (None, _policies.NEVER) and not told(connection, _COMPRESSED):
            run_owned(_COMPRESS)
        for policy, after in ages.items():
            age = written(after // _MICROSECOND) if after is not None else ""
            for text, sentence in _policies.statements(connection, server.functions, policy, after, age):
                run_owned(text)
                sentences += [] if sentence is None else [sentence]
        change = _summaries.changes(connection, server.functions, wanted.materialize)
        for text in change.statements:
            run_owned(text)
    for widths, what in ((change.made, "are materialized"), (change.dropped, "are not materialized any more")):
        if widths:
            sentences.append(f"buckets of {', '.join(written(width // _MICROSECOND) for width in widths)} {what}")
    return sentences, change.afterwards


@contextmanager
def _as_owner(connection: Connection, run: Run) -> Iterator[Run]:
    """What is run is run by the owner of the points: a job must not have more rights than who may change it."""
    owner, before = told(connection, OWNER), told(connection, "SELECT quote_ident(current_user)")
    begun = False

    def run_owned(text: str) -> list[tuple[Any, ...]]:
        nonlocal begun
        if not begun and owner != before:
            run(f"SET LOCAL ROLE {owner}")
        begun = True
        return run(text)

    yield run_owned
    if begun and owner != before:
        run("RESET ROLE")


def left_out(server: Server, wanted: Wanted) -> list[str]:
    """What was asked for and can't be had here, why, and what there is instead."""
    asked = {"--compress-after": wanted.compress_after, "--retain": wanted.retain, "--materialize": wanted.materialize}
    instead = {
        "--compress-after": "the points stay as they are",
        "--retain": "use `iotstore retention --apply`, which keeps the latest values right too",
        "--materialize": "aggregates are computed from the points, whatever consistency they ask for",
    }
    if server.lacks is None:
        return []
    return [f"{name} {server.lacks}; {instead[name]}" for name, value in asked.items() if value not in _NOTHING]


def written(microseconds: int) -> str:
    """A duration as people write it."""
    return str(timedelta(microseconds=microseconds)).removesuffix(", 0:00:00")
