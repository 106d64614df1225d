"""What people ask a store about itself: health, integrity, sizes, and putting it in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from iotstore.backend import Check, Corrupt, Layout, Place, Row, StoreError, Value
from iotstore_postgres import _chunks
from iotstore_postgres._dialect import PostgresDialect
from iotstore_postgres._errors import DRIVER_ERRORS, translated
from iotstore_postgres._options import quoted
from iotstore_postgres._pool import Link, Pool
from iotstore_postgres._sessions import PostgresSnapshot

_LONG_TRANSACTION: Final = 300.0  # seconds; it keeps dead rows from being removed
_IDLE_TRANSACTION: Final = 60.0
_MANY_DEAD: Final = 10_000
_DEAD_SHARE: Final = 0.25
_CLOCK: Final = 1.0  # seconds
_OLD_IDS: Final = 1_500_000_000  # of the 2 billion after which the server stops
_MUCH_USED: Final = 0.9  # of the server's connections
_LAG: Final = 60.0


# The parts of our tables, wherever they lie: TimescaleDB's chunks are in a schema of its own.
_PARTS: Final = (
    "(SELECT h.inhrelid FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent"
    " WHERE p.relnamespace = current_schema()::regnamespace AND p.relkind IN ('r', 'p'))"
)


class Asks(Protocol):
    """What the checks need of a session."""

    def rows(self, text: str, parameters: Sequence[Value]) -> list[Row]:
        """The rows of a statement."""
        ...


def _asking(link: Link) -> Callable[[str], list[Row]]:
    def ask(text: str) -> list[Row]:
        try:
            found: list[Row] = link.execute(text, ()).fetchall()
        except DRIVER_ERRORS as error:
            raise translated(error) from error
        return found

    return ask


def pool_checks(pool: Pool, leak_seconds: float) -> list[Check]:
    """How the connections of this process are used."""
    now = pool.statistics()
    state = "warning" if now.timeouts or now.waiting else "ok"
    advice = "; raise the option pool_size, or keep transactions short" if state == "warning" else ""
    checks = [
        Check(
            "pool",
            state,
            f"{now.lent} of {now.size} connections in use, {now.open} open, {now.waiting} calls wait; so far"
            f" {now.waits} waited, {now.timeouts} in vain, {now.lost} connections were lost and {now.retried} calls"
            f" repeated{advice}",
        )
    ]
    overdue = pool.overdue(leak_seconds)
    checks += [Check("leaks", "ok", f"no connection is in use for more than {leak_seconds:g} s")] if not overdue else []
    return checks + [Check("leaks", "warning", f"in use for {age:.0f} s: {where}") for age, where in overdue]


def health(session: Asks) -> list[Check]:
    """Quick looks at the server and at the tables."""
    return [*_server(session), *_transactions(session), *_tables(session)]


def _server(session: Asks) -> list[Check]:
    begun = time.time()
    ((version, uptime, standby, lag, replicas, now, used, most, size, ids, unsafe),) = session.rows(
        "SELECT current_setting('server_version'),"
        " extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8,"
        " pg_is_in_recovery(),"
        " extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8,"
        " (SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'),"
        " extract(epoch FROM clock_timestamp())::float8,"
        " (SELECT sum(numbackends)::int8 FROM pg_stat_database),"
        " current_setting('max_connections')::int8,"
        " pg_database_size(current_database()),"
        " (SELECT age(datfrozenxid)::int8 FROM pg_database WHERE datname = current_database()),"
        " (SELECT string_agg(name || ' ' || setting, ', ') FROM pg_settings"
        " WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off')",
        (),
    )
    off = now - (begun + time.time()) / 2
    behind = standby and lag is not None and lag > _LAG
    role = f"a standby, {lag or 0:.0f} s behind" if standby else f"the primary, {replicas} replicas follow"
    return [
        Check("server", "ok", f"PostgreSQL {version}, up for {uptime / 3600:.1f} hours"),
        Check("replication", "warning" if behind else "ok", role),
        _limited("connections", used > most * _MUCH_USED, f"{used} of {most} are in use", "raise max_connections"),
        Check("disk", "ok", f"the database takes {size} bytes; what is free only the server's machine knows"),
        _limited("clock", abs(off) > _CLOCK, f"the server's is {off:+.3f} s off ours", "set both by NTP"),
        _limited("transaction ids", ids > _OLD_IDS, f"{ids} old of 2147483647", "let VACUUM FREEZE run"),
        Check("crash safety", "warning", f"a crash of the machine damages the data: {unsafe}; turn it on")
        if unsafe
        else Check("crash safety", "ok", "fsync and full_page_writes are on"),
    ]


def _limited(name: str, beyond: bool, finding: str, advice: str) -> Check:
    return Check(name, "warning", f"{finding}; {advice}") if beyond else Check(name, "ok", finding)


def _transactions(session: Asks) -> list[Check]:
    # Of others a user sees only what it may; what it sees of its own is enough to find a leak.
    ((longest, who, idle, idle_who),) = session.rows(
        "WITH seen AS (SELECT pid, application_name, state,"
        " extract(epoch FROM clock_timestamp() - xact_start)::float8 AS age,"
        " extract(epoch FROM clock_timestamp() - state_change)::float8 AS still"
        " FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND xact_start IS NOT NULL AND backend_type = 'client backend')"
        " SELECT max(age), (SELECT application_name || ', pid ' || pid FROM seen ORDER BY age DESC LIMIT 1),"
        " (SELECT max(still) FROM seen WHERE state LIKE 'idle in transaction%'),"
        " (SELECT application_name || ', pid ' || pid FROM seen WHERE state LIKE 'idle in transaction%'"
        " ORDER BY still DESC LIMIT 1) FROM seen",
        (),
    )
    return [
        _limited(
            "long transactions",
            (longest or 0) > _LONG_TRANSACTION,
            f"the longest is {longest:.0f} s old ({who})" if longest is not None else "none",
            "until it ends no dead row is removed",
        ),
        _limited(
            "idle in transaction",
            (idle or 0) > _IDLE_TRANSACTION,
            f"the longest does nothing for {idle:.0f} s ({idle_who})" if idle is not None else "none",
            "it holds its locks",
        ),
    ]


def _tables(session: Asks) -> list[Check]:
    ((dead, live, worst),) = session.rows(
        "SELECT coalesce(sum(n_dead_tup), 0)::int8, coalesce(sum(n_live_tup), 0)::int8,"  # noqa: S608 - a constant
        f" (SELECT relname::text FROM pg_stat_user_tables WHERE schemaname = current_schema() OR relid IN {_PARTS}"
        " ORDER BY n_dead_tup DESC LIMIT 1)"
        f" FROM pg_stat_user_tables WHERE schemaname = current_schema() OR relid IN {_PARTS}",
        (),
    )
    invalid = session.rows(
        "SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"  # noqa: S608 - a constant
        f" WHERE (c.relnamespace = current_schema()::regnamespace OR i.indrelid IN {_PARTS}) AND NOT i.indisvalid"
        " ORDER BY 1",
        (),
    )
    names = ", ".join(str(row[0]) for row in invalid)
    return [
        _limited(
            "dead rows",
            dead > _MANY_DEAD and dead > _DEAD_SHARE * (dead + live),
            f"{dead} beside {live} live ones, most in {worst}" if dead else "none",
            "autovacuum can't keep up, or a long transaction hinders it",
        ),
        Check("indexes", "failed", f"not valid: {names}; rebuild them with REINDEX")
        if names
        else Check("indexes", "ok", "all valid"),
    ]


def verify(link: Link) -> list[Check]:
    """Read everything: tables, indexes, references, and the latest values, which repeat what points say."""
    ask = _asking(link)
    return [
        _checked("tables", ask, _read_tables),
        _checked("indexes", ask, _read_indexes),
        _checked("references", ask, _read_references),
        _checked("latest", ask, _read_latest),
    ]


def _checked(name: str, ask: Callable[[str], list[Row]], look: Callable[[Callable[[str], list[Row]]], Check]) -> Check:
    try:
        return look(ask)
    except Corrupt as error:
        return Check(name, "failed", str(error))


def _read_tables(ask: Callable[[str], list[Row]]) -> Check:
    """Every value is read, those outside of their rows too; pages with a wrong checksum are an error of the server."""
    broken: list[str] = []
    count = 0
    tables = ask(
        "SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
        " ORDER BY 1"
    )
    for (table,) in tables:
        try:
            ((rows, _),) = ask(f"SELECT count(*), sum(octet_length(t::text)) FROM {quoted(table)} t")  # noqa: S608 - quoted
        except Corrupt as error:
            broken.append(f"{table}: {error.message}")
        else:
            count += rows
    if broken:
        return Check("tables", "failed", "; ".join(broken[:10]))
    return Check("tables", "ok", f"{count} rows in {len(tables)} tables could be read")


def _read_indexes(ask: Callable[[str], list[Row]]) -> Check:
    """With the extension amcheck every index is compared with its table."""
    found = ask(
        "SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
        " JOIN pg_proc p ON p.pronamespace = n.oid AND p.proname = 'bt_index_check' AND p.pronargs = 2"
        " WHERE e.extname = 'amcheck' AND has_function_privilege(p.oid, 'EXECUTE')"
    )
    if not found:
        return Check(
            "indexes",
            "warning",
            "not compared with their tables: that needs the extension amcheck and the right to use it",
        )
    indexes = ask(
        "SELECT c.oid::int8, c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"  # noqa: S608 - a constant
        " JOIN pg_am a ON a.oid = c.relam"
        f" WHERE (c.relnamespace = current_schema()::regnamespace OR i.indrelid IN {_PARTS})"
        " AND a.amname = 'btree' AND c.relkind = 'i' AND i.indisvalid ORDER BY 2"
    )
    broken: list[str] = []
    for oid, name in indexes:
        try:
            ask(f"SELECT {found[0][0]}.bt_index_check({oid}::oid::regclass, true)")
        except StoreError as error:
            if not isinstance(error, Corrupt):
                raise
            broken.append(f"{name}: {error.message}")
    if broken:
        return Check("indexes", "failed", "; ".join(broken[:10]))
    return Check("indexes", "ok", f"{len(indexes)} agree with their tables")


def _read_references(ask: Callable[[str], list[Row]]) -> Check:
    broken: list[str] = []
    references = ask(
        "SELECT c.conname::text, r.relname::text, f.relname::text,"
        " array_agg(a.attname::text ORDER BY k.at), array_agg(b.attname::text ORDER BY k.at)"
        " FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid JOIN pg_class f ON f.oid = c.confrelid"
        " CROSS JOIN LATERAL unnest(c.conkey, c.confkey) WITH ORDINALITY AS k(own, target, at)"
        " JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = k.own"
        " JOIN pg_attribute b ON b.attrelid = f.oid AND b.attnum = k.target"
        " WHERE c.contype = 'f' AND c.connamespace = current_schema()::regnamespace AND c.conparentid = 0"
        " GROUP BY 1, 2, 3 ORDER BY 1"
    )
    for _, table, target, columns, keys in references:
        pairs = list(zip(columns, keys, strict=True))
        same = " AND ".join(f"o.{quoted(own)} = t.{quoted(key)}" for own, key in pairs)
        set_ = " AND ".join(f"o.{quoted(own)} IS NOT NULL" for own, _ in pairs)
        ((lost,),) = ask(
            f"SELECT count(*) FROM {quoted(table)} o WHERE {set_}"  # noqa: S608 - quoted
            f" AND NOT EXISTS (SELECT 1 FROM {quoted(target)} t WHERE {same})"
        )
        if lost:
            broken.append(f"{lost} of {table} point to no {target}")
    if broken:
        return Check("references", "failed", "; ".join(broken[:10]))
    return Check("references", "ok", f"every reference points to a record ({len(references)} rules)")


# One statement, so that it sees one state while writers write.
_WRONG_LATEST: Final = (
    "SELECT count(*) FILTER (WHERE wrong), count(*) FROM (SELECT n.time IS DISTINCT FROM l.time"
    " OR (p.number, p.whole, p.words) IS DISTINCT FROM (l.number, l.whole, l.words) AS wrong"
    " FROM (SELECT series, max(time) AS time FROM iotstore_points GROUP BY series) AS n"
    " FULL JOIN iotstore_latest AS l ON l.series = n.series"
    " LEFT JOIN iotstore_points AS p ON p.series = n.series AND p.time = n.time) AS both_sides"
)


def _read_latest(ask: Callable[[str], list[Row]]) -> Check:
    ((wrong, count),) = ask(_WRONG_LATEST)
    if wrong:
        return Check("latest", "failed", f"of {wrong} series the latest value is not their newest point")
    return Check("latest", "ok", f"the latest values of {count} series are their newest points")


def places(session: PostgresSnapshot, layouts: Sequence[Layout], dialect: PostgresDialect) -> list[Place]:
    """Rows of each layout and of the points, with the bytes of tables, indexes and what is kept outside of rows."""
    tables = [(layout.name, dialect.table_name(layout.name)) for layout in layouts]
    found = [Place(name, _rows(session, table), _bytes(session, table)) for name, table in tables]
    return [*found, Place("points", session.count(), _bytes_of_points(session))]


def _bytes_of_points(session: Asks) -> int:
    # What is compressed lies in tables that belong to no other one: TimescaleDB knows them.
    functions = session.rows(_chunks.FUNCTIONS, ())
    if not functions or session.rows(_chunks.PLAIN, ()):
        return _bytes(session, "iotstore_points")
    found = session.rows(f"SELECT {functions[0][0]}.hypertable_size('iotstore_points'::regclass)::int8", ())
    return int(found[0][0])


def _rows(session: Asks, table: str) -> int:
    return int(session.rows(f"SELECT count(*) FROM {quoted(table)}", ())[0][0])  # noqa: S608 - quoted


def _bytes(session: Asks, table: str) -> int:
    found: Any = session.rows(
        "WITH RECURSIVE part(oid) AS (SELECT to_regclass($1)::oid"
        " UNION ALL SELECT i.inhrelid FROM pg_inherits i JOIN part ON i.inhparent = part.oid)"
        " SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::int8 FROM part",
        (quoted(table),),
    )
    return int(found[0][0])


def optimise(link: Link, *, compact: bool) -> dict[str, str]:
    """Refresh statistics, and with *compact* rewrite every table without holes."""
    ask = _asking(link)
    done: dict[str, str] = {}
    tables = [
        str(row[0])
        for row in ask(
            "SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1"
        )
    ]
    if compact:
        before = _size(ask)
        for table in tables:
            ask_nothing(link, f"VACUUM (FULL) {quoted(table)}")
        done["compact"] = f"{max(before - _size(ask), 0)} bytes given back"
    for table in tables:
        ask_nothing(link, f"ANALYZE {quoted(table)}")
    done["statistics"] = f"refreshed for {len(tables)} tables"
    return done


def ask_nothing(link: Link, text: str) -> None:
    """Run a statement that answers nothing."""
    try:
        link.execute(text, ())
    except DRIVER_ERRORS as error:
        raise translated(error) from error


def _size(ask: Callable[[str], list[Row]]) -> int:
    found = ask(
        "WITH ours AS (SELECT oid FROM pg_class"  # noqa: S608 - a constant
        " WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'm', 'p')"
        f" UNION {_PARTS})"
        " SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::int8 FROM ours"
    )
    return int(found[0][0])
