"""Records in general: adding, putting, changing, deleting, versions, references, numbers."""

from __future__ import annotations

import pytest

from iotstore import (
    Conflict,
    InvalidValue,
    NotFound,
    Refused,
    StillReferenced,
    UnknownReference,
    VersionConflict,
    field,
)
from iotstore_conformance.kinds import CELLS, LEAVES, SAMPLES, TALLIES, Cell, Leaf, Sample, Tally
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import Stage


@clause("REC-001")
def missing_is_told(stage: Stage) -> None:
    """Reading a missing key MUST raise NotFound with kind and key, or give None where the method says so."""
    samples = stage.store.records(SAMPLES)
    with pytest.raises(NotFound, match="nobody") as caught:
        samples.get("nobody")
    assert caught.value.key in ("nobody", ("nobody",))
    assert samples.find("nobody") is None
    assert samples.get_many(["nobody"]) == [None]
    assert samples.list(field("key") == "nobody") == []


@clause("REC-002")
def setters_refuse_unknown_keys(stage: Stage) -> None:
    """Changing or deleting an unknown key MUST raise NotFound and change nothing."""
    samples = stage.store.records(SAMPLES)
    samples.add(Sample(key="a", number=1))
    with pytest.raises(NotFound, match="b"):
        samples.update("b", number=2)
    with pytest.raises(NotFound, match="b"):
        samples.delete("b")
    assert [sample.number for sample in samples.list()] == [1]


@clause("REC-003")
def adding_twice_conflicts(stage: Stage) -> None:
    """Adding a key that exists MUST raise Conflict and leave the stored record as it is."""
    samples = stage.store.records(SAMPLES)
    first = samples.add(Sample(key="a", number=1))
    with pytest.raises(Conflict, match="a"):
        samples.add(Sample(key="a", number=2))
    assert samples.list() == [first]


@clause("REC-004")
def put_follows_merge_rules(stage: Stage) -> None:
    """`put` MUST merge by each field's declared rule: replace, coalesce, keep, min, max, where None loses against
    values."""
    tallies = stage.store.records(TALLIES)
    tallies.put(Tally(key="a", replaced=5, filled=5, kept=5, least=5, most=5))
    stored = tallies.put(Tally(key="a", replaced=None, filled=None, kept=9, least=7, most=3))
    assert (stored.replaced, stored.filled, stored.kept, stored.least, stored.most) == (None, 5, 5, 5, 5)
    stored = tallies.put(Tally(key="a", replaced=1, filled=2, kept=None, least=None, most=None))
    assert (stored.replaced, stored.filled, stored.kept, stored.least, stored.most) == (1, 2, 5, 5, 5)
    stored = tallies.put(Tally(key="a", least=-1, most=99))
    assert (stored.least, stored.most) == (-1, 99)
    empty = tallies.put(Tally(key="b"))
    assert (empty.kept, empty.least) == (None, None)
    stored = tallies.put(Tally(key="b", kept=1, least=1, most=1, filled=1))
    assert (stored.kept, stored.least, stored.most, stored.filled) == (None, 1, 1, 1)


@clause("REC-005")
def changes_touch_only_what_they_name(stage: Stage) -> None:
    """`update` MUST set exactly the named fields, None included, and leave all others."""
    samples = stage.store.records(SAMPLES)
    samples.add(Sample(key="a", number=1, text="x", json={"k": 1}, title="T"))
    changed = samples.update("a", number=None, title="Other")
    assert (changed.number, changed.text, changed.json, changed.title) == (None, "x", {"k": 1}, "Other")
    assert samples.list(field("title").contains("oth")) == [changed]
    assert samples.list(field("title").contains("t"), order=["key"]) == [changed]


@clause("REC-006")
def keys_are_for_ever(stage: Stage) -> None:
    """A change of a key field MUST be refused."""
    samples = stage.store.records(SAMPLES)
    samples.add(Sample(key="a"))
    with pytest.raises(InvalidValue, match="key"):
        samples.update("a", key="b")
    with pytest.raises(InvalidValue, match="key"):
        samples.update_where(field("key") == "a", key="b")
    assert [sample.key for sample in samples.list()] == ["a"]


@clause("REC-007")
def changes_of_many_are_counted(stage: Stage) -> None:
    """`update_where` and `delete_where` MUST touch exactly what passes the filter and say how many that were."""
    samples = stage.store.records(SAMPLES)
    samples.add_many([Sample(key=f"k{n}", number=n) for n in range(10)])
    assert samples.update_where(field("number") >= 7, text="big") == 3
    assert samples.count(field("text") == "big") == 3
    assert samples.delete_where(field("number").in_([0, 1, 99])) == 2
    assert samples.delete_where(field("number") > 100) == 0
    assert samples.count() == 8


@clause("REC-008")
def composed_keys_are_keys(stage: Stage) -> None:
    """A key of several fields MUST tell records apart by all of them together."""
    cells = stage.store.records(CELLS)
    cells.add_many([Cell(room="a", number=1), Cell(room="a", number=2), Cell(room="b", number=1)])
    assert cells.update(("a", 2), value=5) == Cell(room="a", number=2, value=5)
    cells.delete(("a", 1))
    with pytest.raises(NotFound, match="a"):
        cells.get(("a", 1))
    assert cells.get_many([("b", 1), ("b", 2)]) == [Cell(room="b", number=1), None]
    assert cells.count() == 2


@clause("REC-010")
def versions_rise(stage: Stage) -> None:
    """The version of a tracked record MUST rise by one with each change by put, update or update_where."""
    samples = stage.store.records(SAMPLES)
    first = samples.add(Sample(key="a", version=77)).version
    assert samples.update("a", number=1).version == first + 1
    assert samples.put(Sample(key="a", number=2)).version == first + 2
    samples.update_where(field("key") == "a", number=3)
    assert samples.get("a").version == first + 3
    samples.put_many([Sample(key="a", number=4)])
    assert samples.get("a").version == first + 4


@clause("REC-011")
def expected_versions_guard(stage: Stage) -> None:
    """A change or deletion that expects another version MUST raise VersionConflict with both versions and change
    nothing."""
    samples = stage.store.records(SAMPLES)
    old = samples.add(Sample(key="a", number=1)).version
    new = samples.update("a", expected=old, number=2).version
    with pytest.raises(VersionConflict, match="a") as caught:
        samples.update("a", expected=old, number=3)
    assert (caught.value.expected, caught.value.found) == (old, new)
    with pytest.raises(VersionConflict, match="a"):
        samples.delete("a", expected=old)
    assert samples.get("a").number == 2
    samples.delete("a", expected=new)
    with pytest.raises(NotFound, match="a"):
        samples.update("a", expected=new, number=3)


@clause("REC-012")
def versions_do_not_repeat(stage: Stage) -> None:
    """A version of a deleted record MUST not guard its successor: a record added again under its key refuses it."""
    samples = stage.store.records(SAMPLES)
    old = samples.add(Sample(key="a", number=1)).version
    samples.delete("a")
    samples.add(Sample(key="a", number=2))
    with pytest.raises(VersionConflict, match="a"):
        samples.update("a", expected=old, number=3)


@clause("REC-013")
def untracked_records_have_no_version(stage: Stage) -> None:
    """`expected=` on a kind without versions MUST be refused."""
    cells = stage.store.records(CELLS)
    cells.add(Cell(room="a", number=1))
    with pytest.raises(InvalidValue, match=r"version|expected"):
        cells.update(("a", 1), expected=1, value=2)
    assert cells.get(("a", 1)).value is None


@clause("REC-020")
def numbers_are_never_reused(stage: Stage) -> None:
    """Generated ids MUST be positive, grow within one open store, and never be used again after deletion
    or rollback."""
    leaves = stage.store.records(LEAVES)
    first = leaves.add(Leaf()).id
    second = leaves.add(Leaf()).id
    assert 0 < first < second
    leaves.delete(second)
    third = leaves.add(Leaf()).id
    assert third > second
    receipt = leaves.add_many([Leaf(), Leaf()], ids=True)
    assert receipt.ids is not None
    assert list(receipt.ids) == sorted(receipt.ids)
    assert min(receipt.ids) > third
    assert leaves.get_many(list(receipt.ids)) != [None, None]


@clause("REC-021")
def reopening_continues_numbers(stage: Stage) -> None:
    """A second handle on the same store MUST never be given an id that the first one got."""
    leaves = stage.store.records(LEAVES)
    ids = [leaves.add(Leaf()).id for _ in range(3)]
    leaves.delete_where(field("id").is_set())
    again = stage.open() if stage.persistent else stage.store
    ids += [again.records(LEAVES).add(Leaf()).id for _ in range(3)]
    ids += [leaves.add(Leaf()).id for _ in range(3)]
    assert len(set(ids)) == 9


@clause("REC-030")
def references_must_exist(stage: Stage) -> None:
    """A reference to a record that doesn't exist MUST be refused, naming field and key, on adding and on changing."""
    leaves = stage.store.records(LEAVES)
    for name in ("cascade", "clear", "restrict", "keep"):
        with pytest.raises(UnknownReference, match=name) as caught:
            leaves.add(Leaf(**{name: "nobody"}))  # type: ignore[arg-type]  # one text field or the other
        assert caught.value.field == name
    leaf = leaves.add(Leaf())
    with pytest.raises(UnknownReference, match="clear"):
        leaves.update(leaf.id, clear="nobody")
    assert leaves.list() == [leaf]


@clause("REC-031")
def deletion_follows_the_declared_action(stage: Stage) -> None:
    """Deleting a record MUST do to those that point to it what their kind declares: cascade, clear,
    restrict or keep."""
    samples, leaves = stage.store.records(SAMPLES), stage.store.records(LEAVES)
    samples.add_many([Sample(key=key) for key in ("a", "b", "c", "d")])
    cascade, clear = leaves.add(Leaf(cascade="a")), leaves.add(Leaf(clear="b", value=1))
    restrict, keep = leaves.add(Leaf(restrict="c")), leaves.add(Leaf(keep="d"))
    samples.delete("a")
    assert leaves.find(cascade.id) is None
    samples.delete("b")
    cleared = leaves.get(clear.id)
    assert (cleared.clear, cleared.value) == (None, 1)
    assert cleared.version > clear.version
    with pytest.raises(StillReferenced, match=r"suite leaf|suite_leaf"):
        samples.delete("c")
    samples.delete("d")
    assert leaves.get(keep.id) == keep
    leaves.delete(restrict.id)
    samples.delete("c")
    assert samples.count() == 0


@clause("REC-032")
def refused_deletions_change_nothing(stage: Stage) -> None:
    """A deletion that is refused for one reference MUST leave everything, what others would have cascaded included."""
    samples, leaves = stage.store.records(SAMPLES), stage.store.records(LEAVES)
    samples.add_many([Sample(key="a"), Sample(key="b")])
    leaves.add_many([Leaf(cascade="a"), Leaf(clear="a"), Leaf(restrict="a"), Leaf(cascade="b")])
    before = (samples.list(), leaves.list())
    with pytest.raises(StillReferenced, match="suite"):
        samples.delete("a")
    with pytest.raises(StillReferenced, match="suite"):
        samples.delete_where(field("key").is_set())
    assert (samples.list(), leaves.list()) == before


@clause("REC-033")
def unique_rules_hold(stage: Stage) -> None:
    """A declared unique rule MUST refuse a second record with the value, allow many without one, and leave
    the first."""
    leaves = stage.store.records(LEAVES)
    leaves.add_many([Leaf(code="x"), Leaf(), Leaf()])
    with pytest.raises(InvalidValue, match="code"):
        leaves.add(Leaf(code="x"))
    other = leaves.add(Leaf(code="y"))
    with pytest.raises(InvalidValue, match="code"):
        leaves.update(other.id, code="x")
    assert leaves.count() == 4
    assert leaves.get(other.id) == other


@clause("REC-034")
def kinds_of_the_application_are_kinds(stage: Stage) -> None:
    """A kind of the application MUST be stored, filtered, paged, aggregated and reopened as the built-in ones are."""
    store = stage.store
    assert "suite_sample" in store.kinds
    store.records("suite_sample").add(Sample(key="a", number=4, tags=frozenset({"x"})))
    found = store.records(SAMPLES).page(field("tags").has_tag("x"), order=["-number"]).items
    assert [sample.number for sample in found] == [4]
    with pytest.raises(Refused, match="suite_smple"):
        store.records("suite_smple")


@clause("REC-035")
def records_of_another_class_are_refused(stage: Stage) -> None:
    """A record of another class than the collection's MUST be refused."""
    with pytest.raises(InvalidValue, match="Sample"):
        stage.store.records(SAMPLES).add(Cell(room="a", number=1))  # type: ignore[arg-type]  # that is the point
    assert stage.store.records(SAMPLES).count() == 0
