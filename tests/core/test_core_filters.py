"""Filters: what a waist filter selects under SQL's three-valued logic is what its expression says in Python's two."""

import ipaddress
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iotstore import _values as values
from iotstore import field
from iotstore._kinds.codec import Codec
from iotstore._kinds.fields import Address, Json, Mac, Text
from iotstore._kinds.kind import Kind, Tracked
from iotstore._query.expressions import (
    AllOf,
    Among,
    AnyOf,
    Compared,
    Holds,
    InNetwork,
    Missing,
    Not,
    Tagged,
    Where,
)
from iotstore._query.lower import lower, order_of
from iotstore._waist import filters as w
from iotstore._waist.layout import Holding, Row, Type
from iotstore.errors import InvalidValue


class Thing(Tracked, frozen=True, kw_only=True):
    key: str
    name: Annotated[str | None, Text(20, search=True)] = None
    code: Annotated[str | None, Text(20)] = None
    firm: Annotated[str, Text(20)] = ""
    ip: Annotated[str | None, Address()] = None
    mac: Annotated[str | None, Mac()] = None
    size: int | None = None
    real: float | None = None
    on: bool | None = None
    time: datetime | None = None
    wait: timedelta | None = None
    tags: frozenset[str] = frozenset()
    notes: Annotated[Any, Json()] = None


THINGS = Kind(Thing, "thing", "key")
CODEC: Codec[Thing] = Codec(THINGS, {})

letters = st.text("aAbßSsı\u0307%_\ud7ff\ue000\U0010ffff", max_size=4)
addresses = st.sampled_from(
    ["10.0.0.1", "10.0.0.255", "10.0.1.0", "192.168.1.1", "::", "::1", "::a00:1", "2001:db8::1"]
)
networks = st.sampled_from(["10.0.0.0/24", "10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::/32", "10.0.0.1/32"])
macs = st.sampled_from(["00:00:00:00:00:01", "00:00:00:00:00:02", "ff:00:00:00:00:01"])
ints = st.integers(-2, 2) | st.sampled_from([2**63 - 1, -(2**63), 2**53 + 1])
reals = st.sampled_from([-1.5, 0.0, -0.0, 1.0, 2.0**53, 1e308, 5e-324])
times = st.datetimes(datetime(2024, 1, 1), datetime(2024, 1, 2), timezones=st.just(UTC))  # noqa: DTZ001 - zone is given
spans = st.integers(-3, 3).map(lambda seconds: timedelta(seconds=seconds))
things = st.builds(
    Thing,
    key=letters,
    name=st.none() | letters,
    code=st.none() | letters,
    firm=letters,
    ip=st.none() | addresses,
    mac=st.none() | macs,
    size=st.none() | ints,
    real=st.none() | reals,
    on=st.none() | st.booleans(),
    time=st.none() | times,
    wait=st.none() | spans,
    tags=st.frozensets(st.sampled_from(["a", "ab", "b"])),
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "key": letters, "name": letters, "code": letters, "firm": letters, "ip": addresses, "mac": macs, "size": ints,
    "real": reals, "on": st.booleans(), "time": times, "wait": spans,
}  # fmt: skip


@st.composite
def leaves(draw: st.DrawFn) -> Where:
    """Draw one comparison of any form over any field."""
    name = draw(st.sampled_from(sorted(VALUES)))
    value = VALUES[name]
    this = field(name)
    forms: list[Callable[[], Where]] = [
        lambda: this == draw(value),
        lambda: this != draw(value),
        lambda: this < draw(value),
        lambda: this <= draw(value),
        lambda: this > draw(value),
        lambda: this >= draw(value),
        lambda: this == None,  # noqa: E711 - a filter
        lambda: this != None,  # noqa: E711 - a filter
        lambda: this.in_(draw(st.lists(st.none() | value, max_size=4))),
        lambda: this.not_in(draw(st.lists(st.none() | value, max_size=4))),
        lambda: this.between(draw(value), draw(value)),
        this.is_null,
        this.is_set,
        lambda: field("tags").has_tag(draw(st.sampled_from(["a", "ab", "b", "c"]))),
        lambda: field(draw(st.sampled_from(["tags", "notes"]))).is_null(),
        lambda: field("ip").in_network(draw(networks)),
        lambda: field(draw(text_fields)).contains(draw(letters)),
        lambda: field(draw(text_fields)).contains(draw(letters), case=True),
        lambda: field("name").contains(draw(letters), case=False),
        lambda: field(draw(text_fields)).starts_with(draw(letters)),
        lambda: field(draw(text_fields)).starts_with(draw(letters), case=True),
    ]
    return draw(st.sampled_from(forms))()


text_fields = st.sampled_from(["key", "name", "code", "firm", "ip", "mac"])
expressions = st.recursive(
    leaves(),
    lambda inner: (
        st.tuples(inner, inner).map(lambda pair: pair[0] & pair[1])
        | st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1])
        | inner.map(lambda one: ~one)
    ),
    max_leaves=6,
)


# Python's meaning: two values, a comparison with a missing value is false ----------------------------------------


def comparable(name: str, value: Any) -> Any:
    return values.address_order(value) if name == "ip" else value


def means(where: Where, thing: Thing) -> bool:
    """Say what the expression means, as a Python programmer reads it."""
    match where:
        case AllOf(parts):
            return all(means(part, thing) for part in parts)
        case AnyOf(parts):
            return any(means(part, thing) for part in parts)
        case Not(part):
            return not means(part, thing)
        case Missing(name):
            return getattr(thing, name) is None or getattr(thing, name) == frozenset()
        case Compared(name, test, value):
            got = getattr(thing, name)
            if got is None:
                return False
            left, right = comparable(name, got), comparable(name, value)
            return {
                "=": left == right, "<>": left != right, "<": left < right, "<=": left <= right, ">": left > right,
                ">=": left >= right,
            }[test]  # fmt: skip
        case Among(name, several):
            return any(
                getattr(thing, name) is None if value is None else getattr(thing, name) == value for value in several
            )
        case Holds(name, text, prefix, case):
            got = getattr(thing, name)
            if got is None:
                return False
            if name == "name" and not case:
                got, text = got.casefold(), text.casefold()
            return got.startswith(text) if prefix else text in got
        case Tagged(name, tag):
            return tag in getattr(thing, name)
        case InNetwork(name, network):
            got = getattr(thing, name)
            net = ipaddress.ip_network(str(network))
            return got is not None and ipaddress.ip_address(got) in net
    raise AssertionError(where)


# SQL's meaning: three values, NULL is unknown --------------------------------------------------------------------


def both(parts: list[bool | None]) -> bool | None:
    return False if False in parts else None if None in parts else True


def either(parts: list[bool | None]) -> bool | None:
    return True if True in parts else None if None in parts else False


def negate(part: bool | None) -> bool | None:
    return None if part is None else not part


def sql(where: w.Filter, row: Row, seen: list[w.Filter] | None = None) -> bool | None:
    """Evaluate a waist filter as an SQL engine does."""
    column: Callable[[str], Any] = lambda name: row[THINGS.layout.position[name]]  # noqa: E731 - short for six cases
    if seen is not None:
        seen.append(where)
    match where:
        case w.And(parts):
            return both([sql(part, row, seen) for part in parts])
        case w.Or(parts):
            return either([sql(part, row, seen) for part in parts])
        case w.IsNull(name):
            return column(name) is None
        case w.NotNull(name):
            return column(name) is not None
    got = column(where.column)
    if got is None:
        return None
    match where:
        case w.Compare(_, op, value):
            return {
                w.Op.EQ: got == value, w.Op.NE: got != value, w.Op.LT: got < value, w.Op.LE: got <= value,
                w.Op.GT: got > value, w.Op.GE: got >= value,
            }[op]  # fmt: skip
        case w.In(_, several):
            return got in several
        case w.NotIn(_, several):
            return got not in several
        case w.Contains(_, text, negated):
            return (text in got) is not negated
        case w.HasTag(_, tag, negated):
            return (tag in got) is not negated
    raise AssertionError(where)


def encoded(thing: Thing) -> Row:
    return CODEC.encode(thing, 1, 0)


@given(expressions, st.lists(things, min_size=1, max_size=5))
@settings(max_examples=600)
def test_every_expression_selects_in_sql_what_it_means_in_python(where: Where, rows: list[Thing]) -> None:
    lowered = lower(CODEC, where)

    for thing in rows:
        assert (sql(lowered, encoded(thing)) is True) is means(where, thing)


@given(expressions, things)
@settings(max_examples=300)
def test_an_expression_and_its_negation_divide_all_records_in_two(where: Where, thing: Thing) -> None:
    row = encoded(thing)

    assert (sql(lower(CODEC, where), row) is True) is not (sql(lower(CODEC, ~where), row) is True)


LEAVES = (w.Compare, w.In, w.NotIn, w.IsNull, w.NotNull, w.Contains, w.HasTag, w.And, w.Or)


@given(expressions)
def test_the_waist_sees_only_positive_nodes_and_values_that_are_not_null(where: Where) -> None:
    """There is no negation of a tree among the waist's nodes, so no engine ever negates an unknown."""
    nodes: list[w.Filter] = []
    sql(lower(CODEC, where), encoded(Thing(key="")), nodes)

    def walk(node: w.Filter) -> None:
        assert isinstance(node, LEAVES)
        match node:
            case w.And(parts) | w.Or(parts):
                for part in parts:
                    walk(part)
            case w.Compare(_, _, value):
                assert value is not None
            case w.In(_, several) | w.NotIn(_, several):
                assert several
                assert None not in several

    walk(lower(CODEC, where))


HOLDS = {
    Type.BOOL: Holding(int, bool),
    Type.TIME: Holding(lambda micros: f"t{micros + 10**18:020d}", lambda text: int(text[1:]) - 10**18),
}


@given(expressions, st.lists(things, min_size=1, max_size=3))
@settings(max_examples=300)
def test_filter_values_are_held_as_the_backend_holds_its_columns(where: Where, rows: list[Thing]) -> None:
    other: Codec[Thing] = Codec(THINGS, HOLDS)
    lowered = lower(other, where)

    for thing in rows:
        assert (sql(lowered, other.encode(thing, 1, 0)) is True) is means(where, thing)


# Prefixes ---------------------------------------------------------------------------------------------------------

awkward = st.text(st.sampled_from(["a", "\ud7ff", "\ue000", "\U0010fffe", "\U0010ffff", "\x01"]), max_size=4)


@given(awkward, awkward)
@example("\U0010ffff", "\U0010ffff")
@example("a\U0010ffff", "b")
@example("\ud7ff", "\ue000")
def test_a_prefix_is_a_range_up_to_its_successor(prefix: str, text: str) -> None:
    row = encoded(Thing(key="", code=text))

    assert (sql(lower(CODEC, field("code").starts_with(prefix)), row) is True) is text.startswith(prefix)
    assert (sql(lower(CODEC, ~field("code").starts_with(prefix)), row) is True) is not text.startswith(prefix)


def test_a_prefix_of_nothing_holds_for_every_text_but_not_for_a_missing_one() -> None:
    assert lower(CODEC, field("code").starts_with("")) == w.NotNull("code")
    assert lower(CODEC, ~field("code").starts_with("")) == w.IsNull("code")


def test_wildcards_in_a_search_are_ordinary_characters() -> None:
    assert lower(CODEC, field("code").contains("50%_")) == w.Contains("code", "50%_")


# Values are converted exactly or refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        (field("size") == "1", "size: expected an integer, got str"),
        (field("size") == True, "size: expected an integer, got bool"),  # noqa: E712 - a filter
        (field("size") == 1.5, "size: expected an integer, got float"),
        (field("size") > 2**63, "size: integer beyond 64 bits"),
        (field("size").in_([float("nan")]), "size: expected an integer, got float"),
        (field("real") == 2**53 + 1, "real: integer that no double holds exactly"),
        (field("real") == float("inf"), "real: inf is not a finite number"),
        (field("real") == "1.5", "real: expected a number, got str"),
        (field("on") == 1, "on: expected a boolean, got int"),
        (field("name") == 1, "name: expected text, got int"),
        (field("name") == "\0", "name: text holds a NUL character"),
        (field("name").contains("\ud800"), "name: text holds a lone surrogate"),
        (field("name").contains(1), "name: expected text, got int"),  # type: ignore[arg-type]
        (field("ip") == "10.0.0.1/8", "ip: .* is not an IP address"),
        (field("ip").in_network("10.0.0.1/8"), "ip: .* is not a network"),
        (field("code").in_network("10.0.0.0/8"), "code: is not an address"),
        (field("mac") == "nonsense", "mac: .* is not a MAC address"),
        (field("time") == datetime(2024, 1, 1), "time: a datetime without time zone"),  # noqa: DTZ001 - the point
        (field("time") == "2024-01-01", "time: expected a datetime, got str"),
        (field("wait") == 5, "wait: expected a timedelta, got int"),
        (field("size") < None, r"size: can't be compared with None; use is_null\(\) or is_set\(\)"),
        (field("notes") == 1, "notes: a Json field can't be compared or ordered"),
        (field("tags") == frozenset({"a"}), "tags: a Tags field can't be compared or ordered"),
        (field("tags").in_(["a"]), "tags: a Tags field can't be compared or ordered"),
        (field("size").contains("1"), "size: is not text"),
        (field("name").has_tag("a"), "name: is not a set of texts"),
        (field("code").contains("a", case=False), "code: is not declared for case-insensitive search"),
        (field("nmae") == "a", "thing has no field 'nmae'; did you mean 'name'"),
        (field("qqqqqq") == "a", "thing has no field 'qqqqqq'; it has version, key, name"),
    ],
)
def test_a_filter_that_can_not_be_meant_is_refused(where: Where, problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem):
        lower(CODEC, where)


def test_a_whole_double_is_an_integer_and_a_small_integer_is_a_double() -> None:
    assert lower(CODEC, field("size") == 3.0) == w.Compare("size", w.Op.EQ, 3)
    assert lower(CODEC, field("real") == 3) == w.Compare("real", w.Op.EQ, 3.0)


def test_a_filter_has_no_truth_value_so_and_and_or_are_caught() -> None:
    with pytest.raises(InvalidValue, match=r"a filter has no truth value of its own; write & and \|"):
        _ = (field("size") == 1) and (field("size") == 2)


@pytest.mark.parametrize("other", [True, None, "x", 1])
def test_a_filter_combines_with_filters_only(other: object) -> None:
    with pytest.raises(InvalidValue, match=r"expected a filter, got .*; put comparisons in brackets"):
        _ = (field("size") == 1) & other  # type: ignore[operator]


def test_what_is_no_filter_is_refused() -> None:
    with pytest.raises(InvalidValue, match="expected a filter, got str"):
        lower(CODEC, "size = 1")  # type: ignore[arg-type]


def test_none_among_values_means_missing() -> None:
    assert lower(CODEC, field("size").in_([1, None])) == w.Or((w.In("size", (1,)), w.IsNull("size")))
    assert lower(CODEC, field("size").not_in([1, None])) == w.NotIn("size", (1,))
    assert lower(CODEC, field("size").in_([])) == w.NEVER


def test_a_field_that_is_never_missing_needs_no_null_beside_its_negation() -> None:
    assert lower(CODEC, field("firm") != "a") == w.Compare("firm", w.Op.NE, "a")
    assert lower(CODEC, field("code") != "a") == w.Or((w.Compare("code", w.Op.NE, "a"), w.IsNull("code")))


# Orders -----------------------------------------------------------------------------------------------------------


def test_every_order_is_total_and_ends_with_the_key_in_the_last_direction() -> None:
    assert [tuple(item) for item in order_of(CODEC, ["ip", "-size"])] == [
        ("ip__order", False), ("size", True), ("key", True),
    ]  # fmt: skip
    assert [tuple(item) for item in order_of(CODEC, [])] == [("key", False)]
    assert [tuple(item) for item in order_of(CODEC, "-key")] == [("key", True)]


@pytest.mark.parametrize(
    ("order", "problem"),
    [
        (["nothing"], "thing has no field 'nothing'"),
        (["size", "-size"], "order names a field twice"),
        (["tags"], "a Tags field can't be compared or ordered"),
        (["--size"], "thing has no field '-size'"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(order: list[str], problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem):
        order_of(CODEC, order)


def test_the_shape_of_a_filter_does_not_depend_on_its_values() -> None:
    left: list[Any] = []
    right: list[Any] = []

    one = w.shape(lower(CODEC, (field("size") == 1) & field("name").in_(["a"])), left)
    two = w.shape(lower(CODEC, (field("size") == 2) & field("name").in_(["b", "c"])), right)

    assert one == two
    assert hash(one) == hash(two)
    assert (left, right) == ([1, ("a",)], [2, ("b", "c")])
