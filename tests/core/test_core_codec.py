"""The generated codecs: records of any kind become rows and come back, and what breaks a limit names its field."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotstore import _values as values
from iotstore._kinds.builtin import BUILTIN
from iotstore._kinds.codec import Codec
from iotstore._kinds.fields import Address, Bytes, Int, Json, Mac, Real, Tags, Text
from iotstore._kinds.kind import Kind, Record, Tracked
from iotstore._waist.layout import Holding, Type
from iotstore.errors import InvalidValue

letters = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
int64 = st.integers(values.MIN_INT, values.MAX_INT)
finite = st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0)
instants = st.datetimes(timezones=st.just(UTC))
spans = st.timedeltas(timedelta(microseconds=values.MIN_INT), timedelta(microseconds=values.MAX_INT))
json_values = st.recursive(
    st.none() | st.booleans() | int64 | finite | letters,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(letters, inner, max_size=3),
    max_leaves=6,
)
v6 = st.ip_addresses(v=6).map(values.address)
macs = st.binary(min_size=6, max_size=6).map(lambda packed: ":".join(f"{byte:02x}" for byte in packed))

# Every type of field: how it is declared, and the canonical values it takes.
TYPES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, letters),
    (Annotated[str, Text(8, search=True)], letters),
    (Annotated[str, Text(8, min=1)], letters.filter(bool)),
    (Literal["one", "two"], st.sampled_from(["one", "two"])),
    (int, int64),
    (Annotated[int, Int(-5, 5)], st.integers(-5, 5)),
    (float, finite),
    (Annotated[float, Real(0.0, 1.0)], st.floats(0.0, 1.0).map(lambda number: number + 0.0)),
    (bool, st.booleans()),
    (datetime, instants),
    (timedelta, spans),
    (bytes, st.binary(max_size=8)),
    (Annotated[str, Address()], st.ip_addresses(v=4).map(str) | v6),
    (Annotated[str, Mac()], macs),
    (frozenset[str], st.frozensets(letters.filter(bool), max_size=3)),
    (Annotated[frozenset[str], Tags(8)], st.frozensets(letters.filter(bool), max_size=3)),
    (Annotated[Any, Json()], json_values),
]


@st.composite
def kinds_with_records(draw: st.DrawFn) -> tuple[Kind[Any], list[Any]]:
    """Draw a kind with any fields in any order, and some records of it."""
    chosen = draw(st.lists(st.sampled_from(TYPES), max_size=8))
    optional = [draw(st.booleans()) for _ in chosen]
    tracked, generated = draw(st.booleans()), draw(st.booleans())
    declared = [
        (f"f{index}", (hint | None) if may_miss else hint)
        for index, ((hint, _), may_miss) in enumerate(zip(chosen, optional, strict=True))
    ]
    fields: list[Any] = [("key", str), *declared, *([("id", int, 0)] if generated else [])]
    base = Tracked if tracked else Record
    record = msgspec.defstruct("Drawn", fields, bases=(base,), frozen=True, kw_only=True, module=__name__)
    kind: Kind[Any] = Kind(record, "drawn", "key", generated="id" if generated else None)
    entries: dict[str, st.SearchStrategy[Any]] = {
        name: st.none() | strategy if may_miss else strategy
        for (name, _), (_, strategy), may_miss in zip(declared, chosen, optional, strict=True)
    }
    one = st.builds(record, key=letters, **entries)
    return kind, draw(st.lists(one, min_size=1, max_size=3))


HOLDS = {
    Type.BOOL: Holding(int, bool),
    Type.TIME: Holding(str, int),
    Type.TEXTSET: Holding("\0".join, lambda text: tuple(text.split("\0"))),
    Type.BYTES: Holding(bytes.hex, bytes.fromhex),
}


@pytest.mark.parametrize("holds", [{}, HOLDS], ids=["held as they are", "held in other types"])
@given(drawn=kinds_with_records(), number=st.integers(1, 2**40))
@settings(max_examples=150, deadline=None)
def test_records_of_any_kind_come_back_equal(
    holds: dict[Type, Holding], drawn: tuple[Kind[Any], list[Any]], number: int
) -> None:
    kind, records = drawn
    codec = Codec(kind, holds)

    for record in records:
        row = codec.encode(record, number, number)
        expected = msgspec.structs.replace(
            record,
            **({"version": number} if kind.tracked else {}),
            **({"id": number} if kind.generated else {}),
            **{name: frozenset() for name, item in kind.fields.items()
               if isinstance(item.declared, Tags) and getattr(record, name) is None},
        )  # fmt: skip
        assert len(row) == len(kind.layout.columns)
        assert codec.decode(row) == expected
        assert row[-1] == number if kind.tracked else True


@pytest.mark.parametrize("holds", [{}, HOLDS], ids=["held as they are", "held in other types"])
@given(drawn=kinds_with_records())
@settings(max_examples=100, deadline=None)
def test_an_updated_column_is_written_exactly_as_an_added_one(
    holds: dict[Type, Holding], drawn: tuple[Kind[Any], list[Any]]
) -> None:
    kind, records = drawn
    codec = Codec(kind, holds)
    names = [column.name for column in kind.layout.columns]

    for record in records:
        whole = dict(zip(names, codec.encode(record, 1, 1), strict=True))
        for name in kind.fields:
            if name not in ("version", kind.generated):
                columns = codec.columns_of(name, getattr(record, name))
                assert columns == {column: whole[column] for column in columns}
                shadows = {column.name for column in kind.layout.columns if column.shadow_of == name}
                assert set(columns) == {name} | shadows


@given(drawn=kinds_with_records())
@settings(max_examples=60, deadline=None)
def test_what_a_filter_compares_with_is_what_the_row_holds(drawn: tuple[Kind[Any], list[Any]]) -> None:
    kind, records = drawn
    codec = Codec(kind, HOLDS)

    for record in records:
        row = codec.encode(record, 1, 1)
        for name, item in kind.fields.items():
            value = getattr(record, name)
            if value is not None and not isinstance(item.declared, Json | Tags) and name != "version":
                held = row[kind.layout.position[item.order]]
                assert codec.filter_value(item, value if name != kind.generated else 1) == held


@pytest.mark.parametrize("kind", BUILTIN, ids=lambda kind: kind.name)
def test_every_built_in_kind_has_a_codec(kind: Kind[Any]) -> None:
    codec = Codec(kind, {})

    assert callable(codec.encode)
    assert codec.kind is kind


# What is refused, and how the error names it ----------------------------------------------------------------------


class Full(Tracked, frozen=True, kw_only=True):
    key: Annotated[str, Text(5, min=1)]
    id: int = 0
    text: Annotated[str | None, Text(3, search=True)] = None
    must: str = ""
    number: Annotated[int | None, Int(0, 65_535)] = None
    plain: int = 0
    real: Annotated[float | None, Real(-1.0, 1.0)] = None
    least: Annotated[float | None, Real(min=0.0)] = None
    flag: bool = False
    time: datetime | None = None
    span: timedelta | None = None
    data: Annotated[bytes | None, Bytes(2)] = None
    ip: Annotated[str | None, Address()] = None
    mac: Annotated[str | None, Mac()] = None
    json: Annotated[Any, Json(12)] = None
    tags: Annotated[frozenset[str], Tags(3)] = frozenset()
    mood: Literal["happy", "sad"] = "happy"


FULL = Kind(Full, "full", "key", generated="id")
CODEC: Codec[Full] = Codec(FULL, {})

REFUSED: list[tuple[str, Any, str]] = [
    ("key", "", "has 0 characters; allowed are 1 to 5"),
    ("key", "x" * 6, "has 6 characters; allowed are 1 to 5"),
    ("key", None, "may not be None"),
    ("text", "äöüß", "has 4 characters; allowed are 0 to 3"),
    ("text", "a\0", "text holds a NUL character"),
    ("text", "\ud800", "text holds a lone surrogate"),
    ("text", 5, "expected text, got int"),
    ("must", None, "may not be None"),
    ("number", -1, "-1 is not between 0 and 65535"),
    ("number", 65_536, "65536 is not between 0 and 65535"),
    ("number", True, "expected an integer, got bool"),
    ("number", 1.0, "expected an integer, got float"),
    ("plain", 2**63, "integer beyond 64 bits"),
    ("plain", None, "may not be None"),
    ("real", 1.5, "1.5 is not between -1.0 and 1.0"),
    ("real", float("nan"), "nan is not a finite number"),
    ("real", "1", "expected a number, got str"),
    ("least", -0.5, "-0.5 is not between 0.0 and None"),
    ("flag", 1, "expected a boolean, got int"),
    ("flag", None, "may not be None"),
    ("time", datetime(2024, 1, 1), "a datetime without time zone"),  # noqa: DTZ001 - the point
    ("time", "2024", "expected a datetime, got str"),
    ("time", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2))), "is outside the years 1 to 9999"),
    ("time", datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-2))), "is outside the years 1 to 9999"),
    ("span", 5, "expected a timedelta, got int"),
    ("span", timedelta.max, "longer than 64 bits of microseconds"),
    ("span", timedelta.min, "longer than 64 bits of microseconds"),
    ("data", b"123", "has 3 bytes; allowed are 0 to 2"),
    ("data", "ab", "expected bytes, got str"),
    ("ip", "10.0.0.1/8", "is not an IP address"),
    ("ip", 1, "expected an IP address, got int"),
    ("mac", "nonsense", "is not a MAC address"),
    ("mac", 1, "expected a MAC address, got int"),
    ("json", {"a": float("inf")}, "JSON holds inf"),
    ("json", "x" * 11, "has 13 characters; allowed are 0 to 12"),
    ("tags", {"long tag"}, "a tag has 8 characters; allowed are 1 to 3"),
    ("tags", "tag", "expected a set of texts, got str"),
    ("tags", None, "may not be None"),
    ("mood", "angry", "'angry' is none of happy, sad"),
    ("mood", None, "may not be None"),
    ("id", 5, "is given by the store; leave it out"),
]


@pytest.mark.parametrize(("name", "value", "problem"), REFUSED)
def test_a_value_outside_its_limits_is_refused_by_its_field(name: str, value: object, problem: str) -> None:
    record = Full(**{"key": "a", name: value})

    with pytest.raises(InvalidValue, match=f"^{name}: .*{problem}") as caught:
        CODEC.encode(record, 1, 1)

    assert caught.value.field == name


@pytest.mark.parametrize(("name", "value", "problem"), [row for row in REFUSED if row[0] != "id"])
def test_an_update_refuses_what_an_insert_refuses(name: str, value: object, problem: str) -> None:
    with pytest.raises(InvalidValue, match=f"^{name}: .*{problem}"):
        CODEC.columns_of(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("key", "x" * 5), ("text", "äöü"), ("number", 0), ("number", 65_535), ("plain", 2**63 - 1), ("plain", -(2**63)),
        ("real", 1.0), ("real", -1), ("least", 1e308), ("data", b"12"), ("json", "x" * 10), ("tags", {"abc"}),
        ("time", datetime.min.replace(tzinfo=UTC)), ("time", datetime.max.replace(tzinfo=UTC)),
        ("span", timedelta(microseconds=2**63 - 1)), ("span", timedelta(microseconds=-(2**63))),
    ],
)  # fmt: skip
def test_a_value_at_its_limit_is_taken(name: str, value: object) -> None:
    record = Full(**{"key": "a", name: value})  # type: ignore[arg-type]

    assert getattr(CODEC.decode(CODEC.encode(record, 1, 1)), name) == value


def test_json_is_measured_in_characters_not_in_bytes() -> None:
    record = Full(key="a", json="ä" * 10)

    assert CODEC.decode(CODEC.encode(record, 1, 1)).json == "ä" * 10


@pytest.mark.parametrize("record", [object(), None, {"key": "a"}, "a"])
def test_only_records_of_the_kind_are_taken(record: Any) -> None:
    with pytest.raises(InvalidValue, match=f"^expected Full, got {type(record).__name__}$"):
        CODEC.encode(record, 1, 1)


def test_the_version_that_a_record_carries_is_ignored() -> None:
    assert CODEC.decode(CODEC.encode(Full(key="a", version=99), 7, 1)).version == 7


@pytest.mark.parametrize("zone", [timezone(timedelta(hours=5, minutes=30)), ZoneInfo("Europe/Kyiv"), UTC])
def test_times_of_any_zone_come_back_as_the_same_instant_in_utc(zone: Any) -> None:
    said = datetime(2024, 6, 1, 12, 0, 0, 123_456, tzinfo=zone)

    stored = CODEC.decode(CODEC.encode(Full(key="a", time=said), 1, 1)).time

    assert stored == said
    assert stored is not None
    assert stored.tzinfo is UTC


def test_a_canonical_form_is_what_comes_back() -> None:
    said = Full(key="a", ip="2001:DB8:0::1", mac="00-1A-2B-3C-4D-5E", real=-0.0, tags=frozenset({"b", "a"}))

    stored = CODEC.decode(CODEC.encode(said, 1, 1))

    assert (stored.ip, stored.mac, str(stored.real)) == ("2001:db8::1", "00:1a:2b:3c:4d:5e", "0.0")


def test_a_key_is_made_of_one_value_or_of_a_tuple_for_a_composed_one() -> None:
    pair = Kind(Full, "pair", ("key", "plain"))
    codec: Codec[Full] = Codec(pair, {})

    assert codec.key(("a", 1)) == ("a", 1)
    assert CODEC.key("a") == CODEC.key(("a",)) == ("a",)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: CODEC.key(("a", 1)), "key: the key of a full is key; 2 values were given"),
        (lambda: CODEC.key(()), "key: the key of a full is key; 0 values were given"),
        (lambda: CODEC.key(5), "key: expected text, got int"),
        (lambda: CODEC.key(None), "key: expected text, got NoneType"),
    ],
)
def test_a_key_of_another_form_is_refused(call: Callable[[], object], problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem):
        call()
