"""What a store says of itself: health, a full check, room, and tidying up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from iotstore.backend import Check, Layout, Place
from iotstore_neo4j._gate import share
from iotstore_neo4j._names import Names, quoted
from iotstore_neo4j._registry import Believed
from iotstore_neo4j._schema import found_names, labels_in_use, settle, stored_node, wanted
from iotstore_neo4j._wire import Wire


def health(wire: Wire, names: Names) -> list[Check]:
    """The server, the store's node, its indexes, and transactions that last long. Nothing here reads all nodes."""
    believed = stored_node(wire, names)
    checks = [Check("database", "ok", f"{len(believed.entries)} kinds in {wire.tuning.database}")]
    missing = sorted(set(wanted(names, believed)) - set(found_names(wire, names)))
    if missing:
        detail = f"{len(missing)} are missing, {missing[0]} first; opening the store again makes them"
        checks.append(Check("indexes", "warning", detail))
    else:
        checks.append(Check("indexes", "ok", f"{len(wanted(names, believed))} are there"))
    rows = wire.ask(
        "SHOW INDEXES YIELD name, state WHERE name STARTS WITH $start AND state <> 'ONLINE' RETURN name, state",
        {"start": names.start},
    )
    checks += [
        Check("index", "warning" if state == "POPULATING" else "failed", f"{name} is {state}") for name, state in rows
    ]
    return checks


def verify(wire: Wire, names: Names) -> list[Check]:
    """Read every node of the store through its label, and compare with what the index of its key holds."""
    believed = stored_node(wire, names)
    checks: list[Check] = []
    for layout, entry in sorted(believed.entries.items()):
        missing = " OR ".join(f"n.{quoted(name)} IS NULL" for name, _ in entry.key)
        key = ", ".join(f"n.{quoted(name)}" for name, _ in entry.key)
        text = (
            f"MATCH (n:{names.label(layout)}) WITH n, properties(n) AS read"
            f" RETURN count(read), sum(CASE WHEN {missing} THEN 1 ELSE 0 END), count(DISTINCT [{key}])"
        )
        _, ((rows, keyless, keys),) = wire.ask_shared(share(names, layout), text, {})
        if keyless or keys < rows:
            checks.append(
                Check(layout, "failed", f"of {rows} nodes {keyless} have no key and {rows - keys} have that of another")
            )
        else:
            checks.append(Check(layout, "ok", f"{rows} nodes, each with a key of its own"))
    stray = _strays(wire, names, believed)
    checks += [Check("labels", "warning", f"{label} is no kind of this store, but nodes have it") for label in stray]
    return checks or [Check("data", "ok", "there are no kinds")]


def _strays(wire: Wire, names: Names, believed: Believed) -> list[str]:
    known = [names.bare(layout) for layout in believed.entries]
    known += [names.store.strip("`"), names.counter.strip("`")]
    rows = wire.ask(
        "CALL db.labels() YIELD label WHERE label STARTS WITH $start AND NOT label IN $known RETURN label",
        {"start": names.start, "known": known},
    )
    return labels_in_use(wire, [label for (label,) in rows])


def places(wire: Wire, names: Names, layouts: Sequence[Layout]) -> list[Place]:
    """Nodes of each layout; Neo4j doesn't tell their bytes."""
    found: list[Place] = []
    for layout in layouts:
        ((rows,),) = wire.ask(f"MATCH (n:{names.label(layout.name)}) RETURN count(n)", {})
        found.append(Place(layout.name, rows, None))
    return [*found, Place("points", 0, None)]


def optimise(wire: Wire, names: Names) -> Mapping[str, str]:
    """Make what indexes are missing, and let the planner look at their contents again."""
    done = settle(wire, names, stored_node(wire, names))
    wire.change("CALL db.resampleOutdatedIndexes()", {})
    return {"indexes": f"{len(done)} made or dropped", "statistics": "indexes are sampled again"}
