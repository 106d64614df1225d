"""Records with transactions, savepoints and versions against the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from iotstore import Tracked, count, sum_
from iotstore_conformance import strategies as draw
from iotstore_conformance.filters import Condition, as_where
from iotstore_conformance.kinds import SAMPLES, TALLIES, Sample, Tally
from iotstore_conformance.machines.nesting import NestingMachine
from iotstore_conformance.machines.running import outcome
from iotstore_conformance.model import RecordModel, changed
from iotstore_conformance.stage import Stage


class RecordMachine(NestingMachine):
    """One store, one model, the same calls; after every step they hold the same records."""

    deepest = 3

    def __init__(self, stage: Stage) -> None:
        self.model: RecordModel[Sample] = RecordModel(SAMPLES.merge)
        self.tally_model: RecordModel[Tally] = RecordModel(TALLIES.merge)
        super().__init__(stage.open(stage.new_place()), (self.model, self.tally_model))
        self.samples, self.tallies = self.store.records(SAMPLES), self.store.records(TALLIES)
        # The version that a record had when it was inserted: the model counts from nought.
        self.first: dict[str, int] = {}

    def same(self, work: Callable[[], Any], expected: Callable[[], Any]) -> None:
        """Do both and demand the same error, or the same answer but for versions."""
        found, wanted = self.told(work), outcome(expected)
        assert found[0] is wanted[0], (found, wanted)
        if isinstance(found[1], Tracked) and isinstance(wanted[1], Tracked):
            assert changed(found[1], version=0) == changed(wanted[1], version=0)
        elif hasattr(found[1], "stored") and wanted[1] is not None:
            assert _counts(found[1]) == _counts(wanted[1])
        else:
            assert found[1] == wanted[1]

    def version(self, key: str, stale: bool) -> tuple[int | None, int | None]:
        """A version to expect, as the store and as the model count it; a stale one was passed long ago."""
        stored = self.samples.find(key)
        if stored is None:
            return 1, 1
        if stale:
            return stored.version - 1, self.model.rows[key].version - 1
        return stored.version, self.model.rows[key].version

    @rule(sample=draw.samples)
    def add(self, sample: Sample) -> None:
        """Add one record."""
        self.same(lambda: self.samples.add(sample), lambda: self.model.add(sample))

    @rule(sample=draw.samples)
    def put(self, sample: Sample) -> None:
        """Put one record."""
        self.same(lambda: self.samples.put(sample), lambda: self.model.put(sample))

    @rule(tally=draw.tallies)
    def put_tally(self, tally: Tally) -> None:
        """Put one record with every merge rule."""
        self.same(lambda: self.tallies.put(tally), lambda: self.tally_model.put(tally))

    @rule(
        batch=st.lists(draw.samples, max_size=6),
        on_invalid=st.sampled_from(["raise", "reject"]),
        on_conflict=st.sampled_from(["error", "keep"]),
    )
    def add_many(self, batch: list[Sample], on_invalid: Any, on_conflict: Any) -> None:
        """Add a batch."""
        self.same(
            lambda: self.samples.add_many(batch, on_invalid=on_invalid, on_conflict=on_conflict),
            lambda: self.model.add_many(batch, on_invalid=on_invalid, on_conflict=on_conflict),
        )

    @rule(batch=st.lists(draw.samples, max_size=6), on_invalid=st.sampled_from(["raise", "reject"]))
    def put_many(self, batch: list[Sample], on_invalid: Any) -> None:
        """Put a batch."""
        self.same(
            lambda: self.samples.put_many(batch, on_invalid=on_invalid),
            lambda: self.model.put_many(batch, on_invalid=on_invalid),
        )

    @rule(key=draw.keys, changes=draw.changes(), guard=st.sampled_from(["none", "right", "stale"]))
    def update(self, key: str, changes: dict[str, Any], guard: str) -> None:
        """Change one record, with or without a version to expect."""
        expected, counted = (None, None) if guard == "none" else self.version(key, guard == "stale")
        self.same(
            lambda: self.samples.update(key, expected=expected, **changes),
            lambda: self.model.update(key, expected=counted, changes=changes),
        )

    @rule(key=draw.keys, guard=st.sampled_from(["none", "right", "stale"]))
    def delete(self, key: str, guard: str) -> None:
        """Delete one record, with or without a version to expect."""
        expected, counted = (None, None) if guard == "none" else self.version(key, guard == "stale")
        self.same(lambda: self.samples.delete(key, expected=expected), lambda: self.model.delete(key, expected=counted))

    @rule(where=draw.conditions, changes=draw.changes())
    def update_where(self, where: Condition, changes: dict[str, Any]) -> None:
        """Change all records that pass."""
        self.same(
            lambda: self.samples.update_where(as_where(where), **changes),
            lambda: self.model.update_where(where, changes),
        )

    @rule(where=draw.conditions)
    def delete_where(self, where: Condition) -> None:
        """Delete all records that pass."""
        self.same(lambda: self.samples.delete_where(as_where(where)), lambda: self.model.delete_where(where))

    @rule(where=st.none() | draw.conditions, order=draw.orders, size=st.integers(1, 4))
    def read(self, where: Condition | None, order: list[str], size: int) -> None:
        """List, count, stream and page through what passes."""
        lowered = None if where is None else as_where(where)
        expected = [changed(record, version=0) for record in self.model.select(where, order)]
        paged: list[Sample] = []
        after = None
        while True:
            page = self.samples.page(lowered, order=order, limit=size, after=after)
            paged += page.items
            after = page.next
            if after is None:
                break
        for found in (paged, self.samples.list(lowered, order=order), list(self.samples.stream(lowered, order=order))):
            assert [changed(record, version=0) for record in found] == expected
        assert self.samples.count(lowered) == len(expected)

    @rule(where=st.none() | draw.conditions, by=st.sampled_from(["flag", "number", "when"]))
    def total(self, where: Condition | None, by: str) -> None:
        """Count and sum in groups; a sum beyond 64 bits is an error in both."""
        expected = self.model.totals(where, by, "number")
        if any(total is not None and not -(2**63) <= total < 2**63 for *_, total in expected):
            return
        measures = {"n": count(), "v": count("number"), "s": sum_("number")}
        rows = self.samples.aggregate(measures, by=[by], where=None if where is None else as_where(where))
        assert [(row[by], row["n"], row["v"], row["s"]) for row in rows] == expected

    @invariant()
    def holds_the_same(self) -> None:
        """Store and model hold the same records, and versions count the same changes."""
        stored = {record.key: record for record in self.samples.list()}
        assert {key: changed(record, version=0) for key, record in stored.items()} == {
            key: changed(record, version=0) for key, record in self.model.rows.items()
        }
        assert {record.key: changed(record, version=0) for record in self.tallies.list()} == {
            key: changed(record, version=0) for key, record in self.tally_model.rows.items()
        }


def _counts(receipt: Any) -> tuple[int, int, list[int]]:
    return receipt.stored, receipt.duplicates, [row.index for row in receipt.rejected]
