"""Batches: receipts that add up, duplicates, bad rows, idempotency keys."""

from __future__ import annotations

from datetime import timedelta

import pytest

from iotstore import BatchRejected, Conflict, Connection, IdempotencyConflict, field
from iotstore.backend import Capability
from iotstore_conformance.aborting import aborted
from iotstore_conformance.kinds import LEAVES, SAMPLES, TALLIES, Leaf, Sample, Tally
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import NOON, Stage


@clause("RCP-001")
def receipts_add_up(stage: Stage) -> None:
    """A receipt MUST count every row of the batch exactly once, as stored, duplicate or rejected."""
    samples = stage.store.records(SAMPLES)
    samples.add(Sample(key="old", number=1))
    rows = [Sample(key="old"), Sample(key="new"), Sample(key="new"), Sample(key="bad", text="\0"), Sample(key="more")]
    receipt = samples.add_many(rows, on_invalid="reject", on_conflict="keep")
    assert (receipt.stored, receipt.duplicates, len(receipt.rejected)) == (2, 2, 1)
    assert receipt.total == len(rows)
    assert samples.get("old").number == 1


@clause("RCP-002")
def the_first_of_a_batch_wins_under_keep(stage: Stage) -> None:
    """A key that repeats inside an add_many batch under keep MUST be a duplicate: the first one wins."""
    samples = stage.store.records(SAMPLES)
    receipt = samples.add_many([Sample(key="a", number=n) for n in range(3)], on_conflict="keep")
    assert (receipt.stored, receipt.duplicates) == (1, 2)
    assert samples.get("a").number == 0


@clause("RCP-003")
def the_last_of_a_batch_wins_under_put(stage: Stage) -> None:
    """A key that repeats inside a put_many batch MUST be a duplicate: the last one wins, and the record
    changes once."""
    tallies = stage.store.records(TALLIES)
    version = tallies.put(Tally(key="a", replaced=0)).version
    receipt = tallies.put_many([Tally(key="a", replaced=n) for n in range(1, 4)] + [Tally(key="b")])
    assert (receipt.stored, receipt.duplicates, receipt.total) == (2, 2, 4)
    assert tallies.get("a").replaced == 3
    assert tallies.get("a").version == version + 1


@clause("RCP-004")
def conflicts_stop_a_batch(stage: Stage) -> None:
    """Under on_conflict="error" a key that exists, or repeats, MUST raise Conflict and nothing of the
    batch be stored."""
    samples = stage.store.records(SAMPLES)
    samples.add(Sample(key="old"))
    with pytest.raises(Conflict, match="exists"):
        samples.add_many([Sample(key="x"), Sample(key="old"), Sample(key="y")])
    with pytest.raises(Conflict, match=r"exists|twice|repeat"):
        samples.add_many([Sample(key="x"), Sample(key="x")])
    assert samples.count() == 1


@clause("RCP-005")
def bad_rows_are_reported(stage: Stage) -> None:
    """Under on_invalid="reject" good rows MUST be stored and each bad row be reported by index, field and reason."""
    leaves = stage.store.records(LEAVES)
    rows = [Leaf(value=1), Leaf(value=2**63), Leaf(value=2), Leaf(cascade="nobody"), Leaf(code="x" * 41)]
    receipt = leaves.add_many(rows, on_invalid="reject")
    assert receipt.stored == 2
    assert [(row.index, row.field) for row in receipt.rejected] == [(1, "value"), (3, "cascade"), (4, "code")]
    assert all(row.reason for row in receipt.rejected)
    assert [leaf.value for leaf in leaves.list()] == [1, 2]


@clause("RCP-006")
def bad_rows_stop_a_batch(stage: Stage) -> None:
    """Under on_invalid="raise" one bad row MUST raise BatchRejected that lists every bad row, and nothing be stored."""
    leaves = stage.store.records(LEAVES)
    with pytest.raises(BatchRejected, match="2 of 3") as caught:
        leaves.add_many([Leaf(), Leaf(value=2**63), Leaf(keep="nobody")])
    assert [(row.index, row.field) for row in caught.value.rejected] == [(1, "value"), (2, "keep")]
    assert leaves.count() == 0


@clause("RCP-007")
def put_reports_bad_rows(stage: Stage) -> None:
    """`put_many` MUST treat bad rows as add_many does."""
    tallies = stage.store.records(TALLIES)
    with pytest.raises(BatchRejected, match="1 of 2"):
        tallies.put_many([Tally(key="a"), Tally(key="")])
    assert tallies.count() == 0
    receipt = tallies.put_many([Tally(key="a"), Tally(key="")], on_invalid="reject")
    assert (receipt.stored, [row.index for row in receipt.rejected]) == (1, [1])


@clause("RCP-008")
def empty_batches_are_fine(stage: Stage) -> None:
    """An empty batch MUST store nothing and say so."""
    receipt = stage.store.records(SAMPLES).add_many([])
    assert (receipt.stored, receipt.duplicates, receipt.rejected, receipt.total) == (0, 0, (), 0)


@clause("RCP-009")
def large_batches_are_whole(stage: Stage) -> None:
    """A batch larger than any limit of one engine call MUST be stored whole, or on an error not at all."""
    samples = stage.store.records(SAMPLES)
    size = min(stage.store.limits.insert_rows, 12_000) + 1
    assert samples.add_many([Sample(key=f"k{n}") for n in range(size)]).stored == size
    with pytest.raises(Conflict, match="exists"):
        samples.add_many([*(Sample(key=f"x{n}") for n in range(size)), Sample(key="k0")])
    assert samples.count() == size


@clause("RCP-010")
def ids_are_aligned(stage: Stage) -> None:
    """With ids=True a receipt MUST list the id of each stored row in the order of the batch."""
    leaves = stage.store.records(LEAVES)
    receipt = leaves.add_many([Leaf(value=n) for n in range(5)], ids=True)
    assert receipt.ids is not None
    assert [leaves.get(id_).value for id_ in receipt.ids] == list(range(5))
    assert leaves.add_many([Leaf()]).ids is None


@clause("RCP-020")
def idempotent_batches_happen_once(stage: Stage) -> None:
    """A batch repeated under its idempotency key MUST change nothing and get the same receipt, marked as replayed."""
    leaves = stage.store.records(LEAVES)
    rows = [Leaf(value=1), Leaf(value=2), Leaf(value=2**70), Leaf(code="\ud800")]
    first = leaves.add_many(rows, on_invalid="reject", idempotency_key="batch-1", ids=True)
    again = leaves.add_many(rows, on_invalid="reject", idempotency_key="batch-1", ids=True)
    assert not first.replayed
    assert again.replayed
    assert (again.stored, again.duplicates, again.rejected) == (first.stored, first.duplicates, first.rejected)
    assert leaves.count() == 2


@clause("RCP-021")
def idempotency_keys_are_for_one_payload(stage: Stage) -> None:
    """An idempotency key used for another payload MUST raise IdempotencyConflict and store nothing."""
    leaves = stage.store.records(LEAVES)
    leaves.add_many([Leaf(value=1)], idempotency_key="batch-1")
    with pytest.raises(IdempotencyConflict, match="batch-1"):
        leaves.add_many([Leaf(value=2)], idempotency_key="batch-1")
    assert [leaf.value for leaf in leaves.list()] == [1]


@clause("RCP-022")
def failed_batches_claim_nothing(stage: Stage) -> None:
    """A batch that failed MUST leave its idempotency key free: the retry stores it."""
    leaves = stage.store.records(LEAVES)
    with pytest.raises(BatchRejected, match="1 of 1"):
        leaves.add_many([Leaf(value=2**63)], idempotency_key="batch-1")
    receipt = leaves.add_many([Leaf(value=3)], idempotency_key="batch-1")
    assert (receipt.stored, receipt.replayed) == (1, False)


@clause("RCP-023", needs=[Capability.TRANSACTIONS])
def rolled_back_batches_claim_nothing(stage: Stage) -> None:
    """A batch whose transaction was rolled back MUST leave its idempotency key free: the retry stores it."""
    leaves = stage.store.records(LEAVES)
    aborted(stage.store, lambda: leaves.add_many([Leaf(value=1)], idempotency_key="batch-1"))
    receipt = leaves.add_many([Leaf(value=1)], idempotency_key="batch-1")
    assert (receipt.stored, receipt.replayed, leaves.count()) == (1, False, 1)


@clause("RCP-024")
def idempotency_keys_outlive_the_record(stage: Stage) -> None:
    """An idempotency key MUST stay claimed after its rows were deleted, and through another handle."""
    leaves = stage.store.records(LEAVES)
    leaves.add_many([Leaf(value=1)], idempotency_key="batch-1")
    leaves.delete_where(field("id").is_set())
    assert leaves.add_many([Leaf(value=1)], idempotency_key="batch-1").replayed
    if stage.persistent:
        assert stage.reopen().records(LEAVES).add_many([Leaf(value=1)], idempotency_key="batch-1").replayed
    assert stage.store.records(LEAVES).count() == 0


@clause("RCP-025")
def flows_can_be_replayed(stage: Stage) -> None:
    """A batch of connections repeated under its idempotency key MUST not store them twice."""
    stage.devices("a")
    flows = [Connection(device="a", time=NOON + timedelta(seconds=n)) for n in range(10)]
    stage.store.connections.add_many(flows, idempotency_key="capture-7")
    assert stage.store.connections.add_many(flows, idempotency_key="capture-7").replayed
    assert stage.store.connections.count() == 10
