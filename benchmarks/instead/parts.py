"""What the page is divided into, and its words for each piece of work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from instead import starting, threads, walking
from instead.comparison import INGEST, LISTED, QUESTIONS
from instead.on_neo4j import TITLES as ON_NEO4J


class Part(NamedTuple):
    """Some rows of an engine's results."""

    name: str
    title: str
    names: tuple[str, ...]
    says: str = ""


_THREADS: Final = {f"threads-{count}": f"{count} thread{'s' if count > 1 else ''}" for count in threads.COUNTS}
TITLES: Final[dict[str, str]] = {
    **INGEST,
    **{name: words for name, (words, _) in QUESTIONS.items()},
    **_THREADS,
    **walking.TITLES,
    **starting.TITLES,
    **ON_NEO4J,
}
UNITS: Final = {
    **dict.fromkeys(INGEST, " per point"),
    **dict.fromkeys(_THREADS, " per operation"),
    "flows": " per flow",
    "flow-one": " per flow",
    "projector": " per record",
}
PARTS: Final = (
    Part("writing", "Writing", (*INGEST, "flows", "flow-one")),
    Part("reading", "Reading", tuple(QUESTIONS)),
    Part(
        "threads",
        "Threads at once",
        tuple(_THREADS),
        "Nine latest values are read for each point that is written alone, with one store for all threads, or what is"
        " recommended in its place: a session, a connection or a cursor for each. Times are those of the clock on the"
        " wall, for all operations of all threads together.",
    ),
    Part(
        "relations",
        "Relations",
        tuple(walking.TITLES),
        "Devices that talk to each other, three relations for each: the whole answer, in order. networkx kept in memory"
        " answers from what was loaded once, and sees nothing that was written later.",
    ),
    Part(
        "projector",
        "Projector",
        ("projector",),
        "Devices change in a SQLite store, and the projector brings them into Neo4j; by hand the same rows go there by"
        " UNWIND and MERGE, without a store that they come from.",
    ),
    Part(
        "starting",
        "Cold start",
        tuple(starting.TITLES),
        "A fresh process each time. iotstore imports what it needs when it is used first;"
        " [the performance page](performance.md#first-read) has the first read of a process.",
    ),
)


def divided(results: Mapping[str, Any]) -> dict[Part, dict[str, Any]]:
    """The rows of each part that has any."""
    found = {part: {name: results[name] for name in part.names if name in results} for part in PARTS}
    return {part: rows for part, rows in found.items() if rows}


def described(run: Mapping[str, Any]) -> str:
    """How much of everything there was."""
    sizes = run["sizes"]
    linked = f"{sizes['linked']:,} devices with relations"
    if run["backend"] == "neo4j":
        return f"{sizes['alerts']:,} alerts, flows in batches of {sizes['batch']:,}, {linked}."
    return (
        f"{sizes['batch'] * sizes['batches']:,} points of 60 series in batches of {sizes['batch']:,}, {LISTED} devices,"
        f" {sizes['alerts']:,} alerts, {sizes['flows']:,} flows, {linked}."
    )
