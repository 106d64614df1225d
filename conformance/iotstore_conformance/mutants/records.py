"""Mutants of records: adding, putting, changing, deleting, versions, references and numbers that are wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from iotstore import Conflict, InvalidValue, NotFound, Refused
from iotstore.backend import And, Compare, Filter, Key, Layout, Merge, Op, Row, Upserted
from iotstore_conformance.mutants.breaking import Breaking
from iotstore_conformance.mutants.registry import mutant
from iotstore_conformance.mutants.shapes import changed, leaves, owners, swallowed


@mutant(
    "changing-nobody-succeeds",
    kills=("REC-002", "DEV-003", "FLT-006"),
    sentence="Changing a record that doesn't exist succeeds and does nothing.",
)
def _quiet_update(breaking: Breaking) -> None:
    swallowed(breaking, "collection", "update", NotFound)


@mutant("adding-again-replaces", kills=("REC-003",), sentence="Adding a key that exists replaces the stored record.")
def _replacing(breaking: Breaking) -> None:
    @breaking.wrong("writer", "insert")
    def _insert(self: Any, right: Any, layout: Layout, row: Row) -> None:
        key = layout.key_of(row)
        if self.get(layout, key) is not None:
            self.delete(layout, And(tuple(Compare(n, Op.EQ, v) for n, v in zip(layout.key, key, strict=True))))
        right(layout, row)


@mutant(
    "least-and-most-never-move",
    kills=("REC-004", "CNC-002", "DEV-001", "DEV-004"),
    sentence="A field that is merged by its least or most value keeps its first one.",
)
def _never_move(breaking: Breaking) -> None:
    known: dict[Layout, Layout] = {}

    def stubborn(layout: Layout) -> Layout:
        moving = (Merge.MIN, Merge.MAX)
        columns = (c._replace(merge=Merge.KEEP) if c.merge in moving else c for c in layout.columns)
        return known.setdefault(layout, replace(layout, columns=tuple(columns)))

    @breaking.wrong("writer", "upsert")
    def _upsert(_self: Any, right: Any, layout: Layout, rows: Any) -> Any:
        return right(stubborn(layout), rows)


@mutant("changes-empty-other-fields", kills=("REC-005",), sentence="A change of some fields empties the text beside.")
def _emptying(breaking: Breaking) -> None:
    @breaking.wrong("writer", "update")
    def _update(_self: Any, right: Any, layout: Layout, where: Filter, changes: Any) -> Any:
        others = {"text": None} if "text" in layout.position else {}
        return right(layout, where, {**others, **changes})


@mutant("keys-can-be-changed", kills=("REC-006",), sentence="A change of a key field is taken and not made.")
def _changing_keys(breaking: Breaking) -> None:
    @breaking.wrong("collection", "update", "update_where")
    def _update(_self: Any, right: Any, *args: Any, key: Any = None, **changes: Any) -> Any:
        return right(*args, **changes) if key is None else None


@mutant("counts-stop-at-one", kills=("REC-007",), sentence="A change of many records says that it was one.")
def _at_most_one(breaking: Breaking) -> None:
    @breaking.wrong("collection", "update_where", "delete_where")
    def _changed(_self: Any, right: Any, *args: Any, **changes: Any) -> Any:
        return min(right(*args, **changes), 1)


@mutant("puts-do-not-raise-versions", kills=("REC-010",), sentence="Putting a record again answers its old version.")
def _standing(breaking: Breaking) -> None:
    @breaking.wrong("writer", "upsert")
    def _upsert(_self: Any, right: Any, layout: Layout, rows: Any) -> Any:
        def old(one: Upserted) -> Upserted:
            return one if one.inserted or not layout.version else Upserted((*one.row[:-1], one.row[-1] - 1), False)

        return [old(one) for one in right(layout, rows)]


@mutant(
    "expected-versions-are-ignored",
    kills=("REC-011", "ALR-003"),
    sentence="A change is made whatever version it expects.",
)
def _unguarded(breaking: Breaking) -> None:
    def unguarded(leaf: Any) -> Filter:
        return And(()) if isinstance(leaf, Compare) and leaf.column == "version" else leaf

    @breaking.wrong("writer", "update", "delete")
    def _changed(_self: Any, right: Any, layout: Layout, where: Filter, *changes: Any) -> Any:
        return right(layout, leaves(where, unguarded), *changes)


@mutant("versions-begin-again", kills=("REC-012",), sentence="A record added again begins with its first version.")
def _again(breaking: Breaking) -> None:
    first: dict[tuple[str, Key], int] = {}

    @breaking.wrong("writer", "insert")
    def _insert(_self: Any, right: Any, layout: Layout, row: Row) -> None:
        if layout.version:
            row = (*row[:-1], first.setdefault((layout.name, layout.key_of(row)), row[-1]))
        right(layout, row)


@mutant("versions-are-made-up", kills=("REC-013",), sentence="Any version fits a record that has none.")
def _made_up(breaking: Breaking) -> None:
    @breaking.wrong("collection", "update")
    def _update(_self: Any, right: Any, key: Any, *, expected: Any = None, **changes: Any) -> Any:
        try:
            return right(key, expected=expected, **changes)
        except InvalidValue as error:
            if error.field != "expected":
                raise
            return right(key, **changes)


@mutant("numbers-of-the-deleted-return", kills=("REC-020",), sentence="The id of a deleted record is given again.")
def _returning(breaking: Breaking) -> None:
    free: list[int] = []
    given: dict[int, int] = {}

    @breaking.wrong("writer", "delete", "insert")
    def _changed(_self: Any, right: Any, layout: Layout, what: Any) -> Any:
        if layout.name != "suite_leaf":
            return right(layout, what)
        if right.__name__ == "delete":
            gone = right(layout, what)
            free.extend(one.key[0] for one in gone)
            return gone
        at = layout.position["id"]
        if free:
            given[what[at]] = free.pop()
        return right(layout, (*what[:at], given.get(what[at], what[at]), *what[at + 1 :]))

    @breaking.wrong("collection", "add")
    def _add(_self: Any, right: Any, record: Any) -> Any:
        stored = right(record)
        return changed(stored, id=given[stored.id]) if getattr(stored, "id", None) in given else stored


@mutant(
    "every-handle-counts-for-itself",
    kills=("REC-021",),
    sentence="Each handle takes its numbers from a counter of its own.",
)
def _own_counter(breaking: Breaking) -> None:
    owner = owners(breaking)
    counters: dict[tuple[int, str], int] = {}

    @breaking.wrong("writer", "reserve")
    def _reserve(self: Any, _right: Any, counter: str, count: int) -> int:
        place = (owner(self), counter)
        first = counters.get(place, 1)
        counters[place] = first + count
        return first


@mutant("counters-stand-still", kills=("CNC-004",), sentence="Reserving numbers does not advance their counter.")
def _still(breaking: Breaking) -> None:
    @breaking.wrong("writer", "reserve")
    def _reserve(_self: Any, _right: Any, _counter: str, _count: int) -> int:
        return 1


@mutant(
    "references-are-not-checked",
    kills=("REC-030", "CON-001"),
    sentence="A reference to a record that doesn't exist is taken.",
)
def _unchecked(breaking: Breaking) -> None:
    @breaking.wrong("session", "get_many")
    def _get_many(_self: Any, right: Any, layout: Layout, keys: Any, *, hold: bool = False) -> Any:
        rows = right(layout, keys, hold=hold)
        # Telemetry looks for its own metrics and series in this way, to make them: those stay as they are.
        if not hold or layout.name in ("metric", "series"):
            return rows
        return [row or (None,) * len(layout.columns) for row in rows]


@mutant("references-are-not-cleared", kills=("REC-031",), sentence="References to a deleted record are not cleared.")
def _uncleared(breaking: Breaking) -> None:
    @breaking.wrong("writer", "update")
    def _update(_self: Any, right: Any, layout: Layout, where: Filter, changes: Any) -> Any:
        return [] if changes == {"clear": None} else right(layout, where, changes)


@mutant(
    "a-refused-deletion-is-half-done",
    kills=("REC-032",),
    sentence="What a deletion has done before it is refused stays done.",
)
def _half_done(breaking: Breaking) -> None:
    deleting: list[object] = []

    @breaking.wrong("writer", "delete", "commit", "rollback")
    def _ended(self: Any, right: Any, *args: Any) -> Any:
        begun = any(session is self for session in deleting)
        if right.__name__ == "delete":
            deleting.append(self)
            return right(*args)
        deleting[:] = [session for session in deleting if session is not self]
        return self.commit() if begun and right.__name__ == "rollback" else right()


@mutant("unique-rules-are-quiet", kills=("REC-033",), sentence="A record that breaks a unique rule is dropped quietly.")
def _dropped(breaking: Breaking) -> None:
    @breaking.wrong("writer", "insert")
    def _insert(_self: Any, right: Any, layout: Layout, row: Row) -> None:
        try:
            right(layout, row)
        except Conflict:
            raise
        except InvalidValue:
            return


@mutant("unknown-kinds-are-devices", kills=("REC-034",), sentence="Records of an unknown kind are those of devices.")
def _unknown_kinds(breaking: Breaking) -> None:
    @breaking.wrong("store", "records")
    def _records(self: Any, right: Any, kind: Any) -> Any:
        try:
            return right(kind)
        except Refused:
            return self.devices


@mutant("records-of-another-class-are-dropped", kills=("REC-035",), sentence="A record of another class is dropped.")
def _another_class(breaking: Breaking) -> None:
    @breaking.wrong("collection", "add")
    def _add(self: Any, right: Any, record: Any) -> Any:
        return right(record) if isinstance(record, self.kind.record) else None
