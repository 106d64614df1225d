"""The two locks of a store.

Neo4j knows neither snapshots nor a level of isolation above read committed: a reader may see a part of a commit, even
of one node, and of two writers one may overwrite what it has never read. So

* a transaction that writes first locks a node that is there for that: one writes at a time, and what it has read stays
  true;
* before it commits it takes the lock of the store's node's entry in the index of its key, alone;
* every read shares that entry's lock while it runs: MERGE takes it, for the length of its own small transaction. So a
  read waits while a commit is being written, never for a transaction that is still at work, and sees it whole or not.

Two nodes, because whoever waits for the first holds a share of its entry: Neo4j gives one to every statement that
finds a node by a unique key and changes it. What asks for a lock is never kept waiting by who came later, so readers
don't keep a commit away. Nobody is given a part of an answer: a read that is over has given its share back.

The store's node also has, for each layout, a number that is another one after every change by which statements made for
the old state would read nothing where there is something: a read gets it with its share, and fails where it is another.
"""

from __future__ import annotations

from typing import Final

from iotstore_neo4j._names import Names

# A division by zero is the one way in Cypher to fail on purpose. The zero is a property: no plan computes it early.
_SHARE: Final = "MERGE (s:{store} {{id: 0}}) ON CREATE SET s.id = 1 / s.id RETURN s.`{named}`"

#: Where the number of a layout stands on the store's node.
MARK: Final = "b:"


def share(names: Names, layout: str | None = None) -> str:
    """Share the lock, which fails where the store's node is gone. Returns the number of a layout, or of all."""
    return _SHARE.format(store=names.store, named="schema" if layout is None else f"{MARK}{layout}")


def turn(names: Names) -> str:
    """Lock the node of the turn, which only writing a property does. Returns the number of the layouts' state."""
    return f"MATCH (t:{names.store} {{id: 1}}) SET t.turn = 0 WITH t MATCH (s:{names.store} {{id: 0}}) RETURN s.schema"


def alone(names: Names) -> str:
    """Lock the node's entry in the index of its key: a label that is given to a node is checked to be unique."""
    return f"MATCH (s:{names.store} {{id: 0}}) REMOVE s:{names.store} SET s:{names.store}"
