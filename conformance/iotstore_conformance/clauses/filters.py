"""Filters: two-valued logic, literal search, exact conversion of values."""

from __future__ import annotations

import pytest

from iotstore import InvalidValue, field
from iotstore_conformance.kinds import SAMPLES, Sample
from iotstore_conformance.registry import clause
from iotstore_conformance.samples import FOLDED
from iotstore_conformance.stage import NOON, Stage, ago, later


def _numbers(stage: Stage) -> None:
    rows = [("none", None), ("one", 1), ("two", 2), ("three", 3)]
    stage.store.records(SAMPLES).add_many([Sample(key=key, number=number) for key, number in rows])


def _keys(stage: Stage, where: object) -> list[str]:
    found = stage.store.records(SAMPLES).list(where, order=["key"])  # type: ignore[arg-type]  # any filter
    assert stage.store.records(SAMPLES).count(where) == len(found)  # type: ignore[arg-type]  # the same
    return [sample.key for sample in found]


@clause("FIL-001")
def comparisons_compare(stage: Stage) -> None:
    """Comparisons MUST find exactly the records for which they hold, and count them alike."""
    _numbers(stage)
    number = field("number")
    assert _keys(stage, number == 2) == ["two"]
    assert _keys(stage, number != 2) == ["none", "one", "three"]
    assert _keys(stage, number < 2) == ["one"]
    assert _keys(stage, number <= 2) == ["one", "two"]
    assert _keys(stage, number > 2) == ["three"]
    assert _keys(stage, number >= 2) == ["three", "two"]
    assert _keys(stage, number.in_([1, 3])) == ["one", "three"]
    assert _keys(stage, None) == ["none", "one", "three", "two"]


@clause("FIL-002")
def missing_values_compare_false(stage: Stage) -> None:
    """A comparison with a missing value MUST be false, and its negation true."""
    _numbers(stage)
    number = field("number")
    for where in (number == 1, number < 9, number > -9, number.in_([1, 2, 3]), number.between(0, 9)):
        assert "none" not in _keys(stage, where)
        assert "none" in _keys(stage, ~where)
        assert sorted(_keys(stage, where) + _keys(stage, ~where)) == ["none", "one", "three", "two"]


@clause("FIL-003")
def null_is_asked_for(stage: Stage) -> None:
    """`is_null`, `is_set` and comparison with None MUST find missing values, and nothing else does."""
    _numbers(stage)
    number = field("number")
    assert _keys(stage, number.is_null()) == ["none"]
    assert _keys(stage, number == None) == ["none"]  # noqa: E711 - a filter
    assert _keys(stage, number.is_set()) == ["one", "three", "two"]
    assert _keys(stage, number != None) == ["one", "three", "two"]  # noqa: E711 - a filter
    assert _keys(stage, ~number.is_null()) == ["one", "three", "two"]


@clause("FIL-004")
def logic_is_python_logic(stage: Stage) -> None:
    """And, or and not MUST combine as in Python, at every depth and with missing values."""
    _numbers(stage)
    one, two = field("number") == 1, field("number") == 2
    assert _keys(stage, one | two) == ["one", "two"]
    assert _keys(stage, one & two) == []
    assert _keys(stage, ~(one | two)) == ["none", "three"]
    assert _keys(stage, ~(~one & ~two)) == ["one", "two"]
    assert _keys(stage, ~~one) == ["one"]
    assert _keys(stage, ~(one & field("number").is_set())) == ["none", "three", "two"]
    assert _keys(stage, (one | field("number").is_null()) & ~two) == ["none", "one"]


@clause("FIL-005")
def lists_of_values(stage: Stage) -> None:
    """Membership in an empty list MUST be false for all, in a list of many thousands work, and None in it mean
    missing."""
    _numbers(stage)
    number = field("number")
    assert _keys(stage, number.in_([])) == []
    assert _keys(stage, number.not_in([])) == ["none", "one", "three", "two"]
    assert _keys(stage, number.not_in([1, 2])) == ["none", "three"]
    assert _keys(stage, number.in_([2, *range(100, 40_000)])) == ["two"]
    assert _keys(stage, field("key").in_(["one", "x", "one"])) == ["one"]


@clause("FIL-006")
def between_is_half_open(stage: Stage) -> None:
    """A range MUST hold its start and not its end."""
    _numbers(stage)
    assert _keys(stage, field("number").between(1, 3)) == ["one", "two"]
    assert _keys(stage, field("number").between(2, 2)) == []
    samples = stage.store.records(SAMPLES)
    samples.add_many(
        [Sample(key=f"t{n}", when=when) for n, when in enumerate([ago(minutes=1), NOON, later(minutes=1)])]
    )
    assert _keys(stage, field("when").between(NOON, later(minutes=1))) == ["t1"]


@clause("FIL-010")
def search_is_literal(stage: Stage) -> None:
    """Search MUST take every character literally: percent, underscore, backslash, quotes and brackets are no
    wildcards."""
    texts = ["100% done", "100 done", "a_b", "axb", "back\\slash", "it's", 'say "hi"', "[ab]", "a*b", "?", "line\nend"]
    samples = stage.store.records(SAMPLES)
    samples.add_many([Sample(key=f"{n:02}", title=text, text=text) for n, text in enumerate(texts)])
    for wanted in ["%", "_", "\\", "'", '"', "[", "*", "?", "0% d", "a_b", "\n", "%%", "_x"]:
        expected = [f"{n:02}" for n, text in enumerate(texts) if wanted in text]
        assert _keys(stage, field("title").contains(wanted)) == expected
        assert _keys(stage, field("text").contains(wanted, case=True)) == expected
    for wanted in ["100%", "a_", "a", "[", "back\\"]:
        expected = [f"{n:02}" for n, text in enumerate(texts) if text.startswith(wanted)]
        assert _keys(stage, field("text").starts_with(wanted)) == expected


@clause("FIL-011")
def search_folds_case(stage: Stage) -> None:
    """Search in a search field MUST ignore case for every script, as Python's casefold does."""
    samples = stage.store.records(SAMPLES)
    samples.add_many([Sample(key=f"{n:02}", title=f"<{text}>") for n, (text, _) in enumerate(FOLDED)])
    for number, (text, wanted) in enumerate(FOLDED):
        folded = wanted.casefold()
        expected = [f"{n:02}" for n, (other, _) in enumerate(FOLDED) if folded in other.casefold()]
        assert f"{number:02}" in expected, (text, wanted)
        assert _keys(stage, field("title").contains(wanted)) == expected


@clause("FIL-012")
def exact_search_does_not_fold(stage: Stage) -> None:
    """Equality, and search with case=True, MUST tell cases apart."""
    samples = stage.store.records(SAMPLES)
    samples.add_many([Sample(key="lower", title="camera"), Sample(key="upper", title="CAMERA"), Sample(key="none")])
    assert _keys(stage, field("title") == "camera") == ["lower"]
    assert _keys(stage, field("title").contains("CAM", case=True)) == ["upper"]
    assert _keys(stage, field("title").contains("Cam")) == ["lower", "upper"]
    assert _keys(stage, ~field("title").contains("cam", case=True)) == ["none", "upper"]


@clause("FIL-013")
def prefixes_at_the_end_of_unicode(stage: Stage) -> None:
    """A prefix MUST find every text that begins with it, also where no greater character exists."""
    samples = stage.store.records(SAMPLES)
    texts = ["a", "ab", "a\U0010ffff", "a\U0010ffffz", "b", "\U0010ffff", "\U0010ffff\U0010ffff", "a\ud7ff", "a\ue000"]
    samples.add_many([Sample(key=f"{n:02}", text=text) for n, text in enumerate(texts)])
    for prefix in ["", "a", "ab", "a\U0010ffff", "\U0010ffff", "\U0010ffff\U0010ffff", "a\ud7ff", "c"]:
        expected = [f"{n:02}" for n, text in enumerate(texts) if text.startswith(prefix)]
        assert _keys(stage, field("text").starts_with(prefix)) == expected


@clause("FIL-014")
def tags_are_whole(stage: Stage) -> None:
    """`has_tag` MUST find whole tags only: py is not python, and no character in a tag is special."""
    samples = stage.store.records(SAMPLES)
    tags = [{"python"}, {"py"}, {"py", "python"}, {"p%"}, {'"'}, {"a,b"}, {"[", "\\"}, {"Py"}, set[str]()]
    samples.add_many([Sample(key=f"{n:02}", tags=frozenset(members)) for n, members in enumerate(tags)])
    for wanted in ["py", "python", "p%", "%", '"', "a", "a,b", "[", "\\", "p_"]:
        expected = [f"{n:02}" for n, members in enumerate(tags) if wanted in members]
        assert _keys(stage, field("tags").has_tag(wanted)) == expected
        others = [f"{n:02}" for n, members in enumerate(tags) if wanted not in members]
        assert _keys(stage, ~field("tags").has_tag(wanted)) == others


@clause("FIL-020")
def filter_values_are_converted_exactly(stage: Stage) -> None:
    """A filter's value MUST be converted exactly to its field's type or refused: 2^53+1 never equals 2.0^53."""
    samples = stage.store.records(SAMPLES)
    samples.add_many([Sample(key="odd", number=2**53 + 1, real=2.0**53), Sample(key="even", number=2**53, real=1.5)])
    assert _keys(stage, field("number") == 2.0**53) == ["even"]
    assert _keys(stage, field("number") == 2**53 + 1) == ["odd"]
    assert _keys(stage, field("real") == 2**53) == ["odd"]
    for where in (field("real") == 2**53 + 1, field("number") == 1.5, field("number") == "1", field("number") < 2**63):
        with pytest.raises(InvalidValue, match=r"number|real"):
            samples.list(where)


@clause("FIL-021")
def unknown_fields_are_refused(stage: Stage) -> None:
    """A filter, an order or a change that names an unknown field MUST be refused by that name."""
    samples = stage.store.records(SAMPLES)
    samples.add(Sample(key="a"))
    with pytest.raises(InvalidValue, match="nmber"):
        samples.list(field("nmber") == 1)
    with pytest.raises(InvalidValue, match="nmber"):
        samples.page(order=["-nmber"])
    with pytest.raises(InvalidValue, match="nmber"):
        samples.update("a", nmber=1)


@clause("FIL-022")
def filters_that_do_not_fit_are_refused(stage: Stage) -> None:
    """A filter that its field's type can't answer MUST be refused."""
    samples = stage.store.records(SAMPLES)
    for where in (
        field("number").contains("1"),
        field("text").has_tag("x"),
        field("number").in_network("10.0.0.0/8"),
        field("ip").in_network("10.0.0.1/8"),
        field("flag").starts_with("t"),
    ):
        with pytest.raises(InvalidValue, match=r"text|number|ip|flag"):
            samples.list(where)


@clause("FIL-023")
def injection_is_data(stage: Stage) -> None:
    """Text that looks like a query language MUST be data in values, in keys and in filters."""
    samples = stage.store.records(SAMPLES)
    texts = ["' OR 1=1 --", '"; DROP TABLE x; --', "${x}", ":name", "?1", "MATCH (n) DETACH DELETE n", "\\u0027"]
    samples.add_many([Sample(key=text, text=text) for text in texts])
    for text in texts:
        assert _keys(stage, field("text") == text) == [text]
        assert _keys(stage, field("key").in_([text])) == [text]
