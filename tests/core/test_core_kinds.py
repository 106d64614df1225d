"""Declarations of kinds: what they make, and which are refused before any store is touched."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import pytest

from iotstore._kinds.builtin import BUILTIN
from iotstore._kinds.fields import Address, Bytes, Int, Json, Mac, Real, Tags, Text
from iotstore._kinds.kind import Kind, Record, Retention, Tracked
from iotstore._kinds.steps import Drop, Rename
from iotstore._opening import collect_kinds
from iotstore._waist.layout import Merge, OnDelete, Type
from iotstore.errors import ConfigurationError


class Plant(Tracked, frozen=True, kw_only=True):
    key: str
    name: Annotated[str | None, Text(100, search=True)] = None
    ip: Annotated[str | None, Address()] = None
    mac: Annotated[str | None, Mac()] = None
    height: float = 0.0
    leaves: int = 0
    alive: bool = True
    planted: datetime | None = None
    watering: timedelta | None = None
    picture: bytes | None = None
    mood: Literal["happy", "sad"] = "happy"
    notes: Annotated[Any, Json()] = None
    tags: frozenset[str] = frozenset()


PLANTS = Kind(Plant, "plant", "key", indexes=[["ip", "name"]], merge={"name": Merge.COALESCE})


def test_a_kind_becomes_columns_in_declared_order_with_shadows_beside_them_and_the_version_last() -> None:
    columns = {column.name: column for column in PLANTS.layout.columns}

    assert list(columns) == [
        "key", "name", "name__fold", "ip", "ip__order", "mac", "height", "leaves", "alive", "planted", "watering",
        "picture", "mood", "notes", "tags", "version",
    ]  # fmt: skip
    assert {column.name for column in columns.values() if column.shadow_of} == {"name__fold", "ip__order"}
    assert PLANTS.layout.version == "version"


def test_each_field_type_has_its_column_type() -> None:
    types = {column.name: column.type for column in PLANTS.layout.columns}

    assert types["name"] is types["name__fold"] is types["ip"] is types["mac"] is types["notes"] is Type.TEXT
    assert types["height"] is Type.REAL
    assert types["leaves"] is types["watering"] is types["version"] is Type.INT
    assert types["alive"] is Type.BOOL
    assert types["planted"] is Type.TIME
    assert types["picture"] is Type.BYTES
    assert types["tags"] is Type.TEXTSET


def test_a_folded_column_has_room_for_what_folding_lengthens_and_merges_like_its_field() -> None:
    fold = PLANTS.layout.column("name__fold")

    assert fold.max_length == 300
    assert fold.merge is Merge.COALESCE
    assert fold.shadow_of == "name"


def test_an_index_over_an_address_orders_as_the_address_does() -> None:
    assert [index.columns for index in PLANTS.layout.indexes] == [("ip__order", "name")]


def test_sets_and_json_may_be_missing_whatever_the_declaration_says() -> None:
    assert PLANTS.layout.column("tags").nullable
    assert PLANTS.layout.column("notes").nullable
    assert not PLANTS.layout.column("height").nullable


class Bare(Record, frozen=True, kw_only=True):
    key: str
    other: str | None = None
    count: int = 0
    when: datetime | None = None
    flag: bool = False


def kind(**said: Any) -> Kind[Bare]:
    return Kind(Bare, **{"name": "bare", "key": "key", **said})


@pytest.mark.parametrize("name", ["", "Bare", "1st", "a-b", "a b", "ä", "x" * 49, "bare\n", "_bare"])
def test_a_name_that_no_backend_could_use_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is not lower-case letters, digits and _ "):
        kind(name=name)


@pytest.mark.parametrize(
    "said",
    [
        {"key": "nothing"},
        {"key": ("key", "nothing")},
        {"generated": "nothing"},
        {"indexes": [["nothing"]]},
        {"unique": [["key", "nothing"]]},
        {"merge": {"nothing": Merge.KEEP}},
        {"references": {"nothing": ("device", OnDelete.CLEAR)}},
        {"retention": Retention("nothing", timedelta(1))},
        {"retention": Retention("when", timedelta(1), only="nothing")},
    ],
    ids=str,
)
def test_a_declaration_that_names_no_field_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="kind bare names 'nothing', which is no field of Bare"):
        kind(**said)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"key": ()}, "it has no key"),
        ({"key": "other"}, "the key field 'other' may not be None"),
        ({"key": ("key", "other")}, "the key field 'other' may not be None"),
        ({"key": ("key", "key")}, "names a key field twice"),
        ({"generated": "key"}, "the generated field 'key' must be a plain int with the default 0"),
        ({"generated": "other"}, "the generated field 'other' must be a plain int with the default 0"),
        ({"references": {"key": ("device", OnDelete.CLEAR)}}, "'key' can't be cleared: it may not be None"),
        ({"references": {"when": ("device", OnDelete.CLEAR)}}, "'when' can't point to a record: it is no text or int"),
        ({"retention": Retention("count", timedelta(1))}, "retention goes by 'count', which is no time"),
        ({"retention": Retention("when", timedelta(0))}, "retention keeps records for 0:00:00"),
        ({"retention": Retention("when", timedelta(1), only="other")}, "neither a time nor a boolean"),
        ({"merge": {"flag": Merge.MAX}}, "'flag' has no larger and smaller values to merge by"),
        ({"merge": {"key": Merge.KEEP}}, "the key field 'key' has no merge rule"),
        ({"version": 0}, "version 0 is not 1 or more"),
        ({"steps": [Drop(2, "gone")]}, "its Drop is of version 2, and the kind is of version 1"),
        ({"version": 3, "steps": [Rename(1, "old", "other")]}, "its Rename is of version 1"),
    ],
    ids=str,
)
def test_a_declaration_that_makes_no_sense_is_refused(said: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^kind bare: .*{problem}"):
        kind(**said)


def test_a_field_of_a_type_that_no_column_holds_is_refused_with_the_types_that_are_held() -> None:
    class Odd(Record, frozen=True, kw_only=True):
        key: str
        value: complex = 0j

    with pytest.raises(ConfigurationError, match=r"Odd\.value has a type that no column holds: .*; use str, int"):
        Kind(Odd, "odd", "key")


def test_a_declaration_that_does_not_fit_its_type_is_refused() -> None:
    class Odd(Record, frozen=True, kw_only=True):
        key: str
        value: Annotated[int, Text()] = 0

    with pytest.raises(ConfigurationError, match=r"Odd\.value: Text\(\) does not fit its type"):
        Kind(Odd, "odd", "key")


def test_a_field_called_like_another_ones_shadow_is_refused() -> None:
    class Odd(Record, frozen=True, kw_only=True):
        key: str
        name: Annotated[str, Text(search=True)] = ""
        name__fold: str = ""

    with pytest.raises(ConfigurationError, match="'name__fold' is what a computed column is called"):
        Kind(Odd, "odd", "key")


def test_a_field_can_be_declared_by_every_type_of_the_vocabulary() -> None:
    class All(Record, frozen=True, kw_only=True):
        key: Annotated[str, Text(10)]
        number: Annotated[int, Int(0, 9)] = 0
        real: Annotated[float, Real(0, 1)] = 0.0
        some: Annotated[bytes | None, Bytes(10)] = None
        optional: Annotated[int, Int(1, 2)] | None = None
        tags: Annotated[frozenset[str], Tags(3)] = frozenset()

    declared = Kind(All, "everything", "key").fields

    assert declared["number"].declared == Int(0, 9)
    assert declared["optional"].declared == Int(1, 2)
    assert {name for name, item in declared.items() if item.nullable} == {"some", "optional"}


def test_two_kinds_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two kinds are called 'device'; give yours another name"):
        collect_kinds([*BUILTIN, kind(name="device")])


def test_the_name_of_the_stores_own_book_is_taken() -> None:
    with pytest.raises(ConfigurationError, match="two kinds are called 'stored_kind'"):
        collect_kinds([kind(name="stored_kind")])


def test_a_kind_may_come_twice_when_it_is_the_same() -> None:
    one = kind()

    assert list(collect_kinds([one, one])) == ["bare"]


def test_a_kind_that_points_to_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="other points to the unknown kind 'house'; name that kind before it"):
        collect_kinds([kind(references={"other": ("house", OnDelete.CLEAR)})])


def test_a_kind_that_points_to_a_composed_key_is_refused() -> None:
    pair = kind(name="pair", key=("key", "count"))

    with pytest.raises(ConfigurationError, match="'other' can't point to pair: its key is composed"):
        collect_kinds([pair, kind(references={"other": ("pair", OnDelete.CLEAR)})])


def test_a_reference_of_another_type_than_the_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'count' can't point to bare: its key is text and the field is int"):
        collect_kinds([kind(), kind(name="more", references={"count": ("bare", OnDelete.CASCADE)})])


def test_a_kind_may_point_to_itself() -> None:
    own = kind(references={"other": ("bare", OnDelete.RESTRICT)})

    assert collect_kinds([own]) == {"bare": own}


def test_every_reference_of_the_built_in_kinds_points_backwards() -> None:
    assert set(collect_kinds(BUILTIN)) == {one.name for one in BUILTIN}
