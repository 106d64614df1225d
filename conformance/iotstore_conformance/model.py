"""The reference model of records in plain Python: what a store with kinds, versions and transactions must answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from iotstore import (
    BatchRejected,
    Conflict,
    InvalidValue,
    Merge,
    NotFound,
    Receipt,
    Rejected,
    Tracked,
    VersionConflict,
)
from iotstore_conformance.filters import Condition, passes

R = TypeVar("R", bound=Tracked)


def changed(record: R, **changes: Any) -> R:
    """A copy of a record with some fields changed."""
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    return type(record)(**{**fields, **changes})


def is_valid(record: Tracked) -> bool:
    """Whether the values that the strategies draw are all allowed: they only ever break one of these rules."""
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if isinstance(value, str) and ("\0" in value or (name == "key" and not value)):
            return False
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            return False
    return True


class RecordModel(Generic[R]):
    """One kind of tracked records with a single key. A record's version counts its changes since it was inserted."""

    def __init__(self, merge: Mapping[str, Merge]) -> None:
        self._merge = dict(merge)
        self.rows: dict[str, R] = {}
        self._saved: list[dict[str, R]] = []

    def begin(self) -> None:
        """Start a transaction, or a savepoint inside one."""
        self._saved.append(dict(self.rows))

    def commit(self) -> None:
        """Keep what was done since the innermost start."""
        self._saved.pop()

    def rollback(self) -> None:
        """Undo what was done since the innermost start."""
        self.rows = self._saved.pop()

    def add(self, record: R) -> R:
        """Insert one record."""
        if not is_valid(record):
            raise InvalidValue("a value is not allowed")
        key = _key(record)
        if key in self.rows:
            raise Conflict(f"{key!r} exists")
        self.rows[key] = changed(record, version=0)
        return self.rows[key]

    def put(self, record: R) -> R:
        """Insert one record, or merge it into the one that is there."""
        if not is_valid(record):
            raise InvalidValue("a value is not allowed")
        stored = self.rows.get(_key(record))
        if stored is None:
            return self.add(record)
        merged = {
            name: _merged(self._merge.get(name, Merge.REPLACE), getattr(stored, name), getattr(record, name))
            for name in record.__struct_fields__
            if name not in ("key", "version")
        }
        self.rows[_key(record)] = changed(stored, **merged, version=stored.version + 1)
        return self.rows[_key(record)]

    def add_many(self, records: Sequence[R], *, on_invalid: str, on_conflict: str) -> Receipt:
        """Insert a batch; of a repeated key the first wins under keep."""
        rejected = self._rejected(records, on_invalid)
        before, stored, duplicates = dict(self.rows), 0, 0
        for record in records:
            if not is_valid(record):
                continue
            if _key(record) not in self.rows:
                self.add(record)
                stored += 1
            elif on_conflict == "keep":
                duplicates += 1
            else:
                self.rows = before
                raise Conflict(f"{_key(record)!r} exists")
        return Receipt(stored, duplicates, rejected)

    def put_many(self, records: Sequence[R], *, on_invalid: str) -> Receipt:
        """Put a batch; of a repeated key the last wins."""
        rejected = self._rejected(records, on_invalid)
        last = {_key(record): record for record in records if is_valid(record)}
        for record in last.values():
            self.put(record)
        return Receipt(len(last), len(records) - len(rejected) - len(last), rejected)

    def update(self, key: str, *, expected: int | None, changes: Mapping[str, Any]) -> R:
        """Change fields of one record."""
        stored = self._guarded(key, expected)
        self.rows[key] = changed(stored, **changes, version=stored.version + 1)
        return self.rows[key]

    def delete(self, key: str, *, expected: int | None) -> None:
        """Delete one record."""
        self._guarded(key, expected)
        del self.rows[key]

    def update_where(self, where: Condition, changes: Mapping[str, Any]) -> int:
        """Change fields of all records that pass."""
        keys = [key for key, record in self.rows.items() if passes(where, record)]
        for key in keys:
            self.update(key, expected=None, changes=changes)
        return len(keys)

    def delete_where(self, where: Condition) -> int:
        """Delete all records that pass."""
        keys = [key for key, record in self.rows.items() if passes(where, record)]
        for key in keys:
            del self.rows[key]
        return len(keys)

    def select(self, where: Condition | None, order: Sequence[str]) -> list[R]:
        """The records that pass, in order: missing values smallest, ties by key."""
        rows = [record for record in self.rows.values() if where is None or passes(where, record)]
        carried = "-key" if order and order[-1].startswith("-") else "key"
        for name in reversed([*order, carried]):
            rows.sort(key=_rank(name.removeprefix("-")), reverse=name.startswith("-"))
        return rows

    def totals(self, where: Condition | None, by: str, field: str) -> list[tuple[Any, int, int, int | None]]:
        """For each value of *by*, in order: records, values of an integer *field*, and their exact sum."""
        rows = self.select(where, [by])
        groups: dict[Any, list[R]] = {}
        for record in rows:
            groups.setdefault(getattr(record, by), []).append(record)
        found = []
        for value, members in groups.items():
            numbers = [getattr(record, field) for record in members if getattr(record, field) is not None]
            found.append((value, len(members), len(numbers), sum(numbers) if numbers else None))
        return found

    def _guarded(self, key: str, expected: int | None) -> R:
        stored = self.rows.get(key)
        if stored is None:
            raise NotFound("record", key)
        if expected is not None and stored.version != expected:
            raise VersionConflict("record", key, expected, stored.version)
        return stored

    def _rejected(self, records: Sequence[R], on_invalid: str) -> tuple[Rejected, ...]:
        rejected = tuple(Rejected(n, None, "") for n, record in enumerate(records) if not is_valid(record))
        if rejected and on_invalid == "raise":
            raise BatchRejected(rejected, len(records))
        return rejected


def _key(record: Tracked) -> str:
    return str(getattr(record, "key", ""))


def _rank(name: str) -> Any:
    def rank(record: object) -> tuple[bool, Any]:
        value = getattr(record, name)
        return (False, 0) if value is None else (True, value)

    return rank


def _merged(rule: Merge, old: Any, new: Any) -> Any:
    if rule is Merge.REPLACE:
        return new
    if rule is Merge.KEEP:
        return old
    if new is None or old is None:
        return old if new is None else new
    if rule is Merge.COALESCE:
        return new
    return min(old, new) if rule is Merge.MIN else max(old, new)
