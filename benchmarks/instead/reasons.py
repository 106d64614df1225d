"""Why the library loses where it does."""

from __future__ import annotations

from typing import Final

_BY_HAND: Final = (
    "By hand the table has the columns that are asked for, a row becomes what is used of it, nothing is checked, and"
    " one connection is used without a pool; the library gives whole records with types and time zones, knows any kind"
    " and any question, and may be used from any thread"
)
_SINGLE: Final = (
    "Beyond the statement itself the library checks the point, waits for its turn among threads, looks the series up"
    " inside the transaction (another process may have deleted it), and gives a receipt"
)
_CACHED: Final = (
    "A graph in memory that nobody else may change needs no database; keep one where an answer may be as old as its"
    " last load"
)
_LOADED: Final = (
    "A graph of this size is loaded in one statement; the library asks for the relations of each step, which pays when"
    " the graph is larger, and tells apart kinds of records, types of relations and written from seen ones"
)
_STARTS: Final = "It has less to import: neither kinds of records nor their checks, and no errors of its own"
_RECURSION: Final = (
    "One statement instead of one for each step of the way, over a table that holds one type of relation between one"
    " kind of record"
)
_AGGREGATES: Final = (
    "The library's buckets know time zones and its groups any field, so that what the engine gives is finished in"
    " Python; here hours of UTC are all that is asked for"
)
_PARTIAL: Final = "Its table has the columns that are asked for and no more; the library reads whole records"
_COLUMNAR: Final = (
    "It keeps each column together and computes over many values at once, which is what an aggregate over much data"
    " wants; a library on a row store will not catch up with it there"
)
_DICTIONARIES: Final = (
    "It gives back dictionaries of what the driver said; the library gives back whole records with all their fields,"
    " checked types and times in UTC"
)
_LEVELS: Final = (
    "The engine walks inside one statement; the library asks for the edges of each level, as on every backend, so that"
    " of equal ways and in every order the same one comes first everywhere"
)
_PROJECTOR: Final = (
    "The projector reads the outbox and then each record as it is now, checks on both sides that no other one has taken"
    " over, writes its checkpoint with the records, and takes the rows out of the outbox"
)
_GATED: Final = (
    "One transaction writes at a time in the library, readers are locked out of its commit, and it notes which devices"
    " talked to each other; Neo4j itself would let readers see parts of a commit"
)
_BOOKMARKS: Final = (
    "The library reads in a transaction that shares a lock with the writers' commits and checks that nobody migrated"
    " the store meanwhile, which is more than one way to the server"
)
#: By piece of work, part of the page, and contender: the most particular one counts.
_REASONS: Final[dict[tuple[str, str], str]] = {
    ("networkx, kept in memory", ""): _CACHED,
    ("networkx, loaded each time", ""): _LOADED,
    ("recursive query by hand", ""): _RECURSION,
    ("DuckDB", "reading"): _COLUMNAR,
    ("sqlite-utils", "reading"): _DICTIONARIES,
    ("neo4j driver by hand", "reading"): _BOOKMARKS,
    ("neomodel", "reading"): _BOOKMARKS,
    ("neo4j driver by hand", "relations"): _LEVELS,
    ("neomodel", "relations"): _LEVELS,
    ("", "flows"): _GATED,
    ("", "flow-one"): _GATED,
    ("", "projector"): _PROJECTOR,
    ("", "ingest-one"): _SINGLE,
    ("", "threads"): _SINGLE,
    ("", "timeline"): _AGGREGATES,
    ("", "home"): _AGGREGATES,
    ("", "starting"): _STARTS,
}


def reason(part: str, name: str, other: str) -> str:
    """Why another one is ahead in a piece of work."""
    for key in ((other, name), (other, part), ("", name), (other, ""), ("", part)):
        if key in _REASONS:
            return f"{_REASONS[key]}."
    return f"{_BY_HAND if other.endswith('by hand') else _PARTIAL}."
