"""Migrations of an application's own kind: what follows from comparison, what needs a step, what is refused whole."""

import hashlib
import multiprocessing
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import pytest

import iotstore
from iotstore import (
    ConfigurationError,
    Drop,
    InvalidValue,
    Kind,
    Merge,
    MigrationNeeded,
    NewerSchema,
    OnDelete,
    Record,
    Rename,
    RenameKind,
    Store,
    Text,
    Tracked,
    Transform,
    VersionConflict,
    field,
)

Opener = Callable[..., Store]


class Plant1(Tracked, frozen=True, kw_only=True):
    key: Annotated[str, Text(20)]
    name: Annotated[str | None, Text(50)] = None
    height: float = 0.0


PLANTS_1 = Kind(Plant1, "plant", "key", indexes=[["name"]])
ROWS = [Plant1(key="fern", name="Straße", height=1.5), Plant1(key="ivy", height=2.0), Plant1(key="oak", name="Oak")]


def digest(url: str) -> str:
    """The digest of the database file, after everything is in it."""
    return hashlib.sha256(Path(url.removeprefix("sqlite:///")).read_bytes()).hexdigest()


@pytest.fixture
def planted(open_store: Opener, url: str) -> str:
    """A closed store of version 1 with three plants."""
    store = open_store(kinds=[PLANTS_1])
    store.records(PLANTS_1).add_many(ROWS)
    store.close()
    return url


def plants(store: Store) -> dict[str, Any]:
    return {row.key: row for row in store.records("plant").list()}


# What follows from comparison -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("planted")
def test_a_new_field_with_a_default_is_filled_into_the_records_that_exist(open_store: Opener) -> None:
    class Plant2(Tracked, frozen=True, kw_only=True):
        key: Annotated[str, Text(20)]
        name: Annotated[str | None, Text(50)] = None
        height: float = 0.0
        leaves: int = 7
        alive: bool = True
        seen: datetime = datetime(2020, 1, 1, tzinfo=UTC)
        tags: frozenset[str] = frozenset({"new", "green"})

    store = open_store(kinds=[Kind(Plant2, "plant", "key", indexes=[["name"]])])

    fern = plants(store)["fern"]
    assert (fern.name, fern.height, fern.leaves, fern.alive) == ("Straße", 1.5, 7, True)
    assert (fern.seen, fern.tags) == (datetime(2020, 1, 1, tzinfo=UTC), {"new", "green"})
    assert store.records("plant").count(field("alive") == True) == 3  # noqa: E712 - a filter
    assert store.records("plant").count(field("tags").has_tag("green")) == 3
    assert store.records("plant").count(field("seen") < datetime(2021, 1, 1, tzinfo=UTC)) == 3


@pytest.mark.usefixtures("planted")
def test_a_new_field_that_may_be_missing_is_missing_in_the_records_that_exist(open_store: Opener) -> None:
    class Plant2(Tracked, frozen=True, kw_only=True):
        key: Annotated[str, Text(20)]
        name: Annotated[str | None, Text(50)] = None
        height: float = 0.0
        pot: str | None = None

    store = open_store(kinds=[Kind(Plant2, "plant", "key")])

    assert {row.pot for row in plants(store).values()} == {None}
    assert store.records("plant").update("fern", pot="clay").pot == "clay"


@pytest.mark.usefixtures("planted")
def test_a_field_that_becomes_searchable_is_searched_in_the_records_that_exist(open_store: Opener) -> None:
    class Plant2(Tracked, frozen=True, kw_only=True):
        key: Annotated[str, Text(20)]
        name: Annotated[str | None, Text(50, search=True)] = None
        height: float = 0.0

    store = open_store(kinds=[Kind(Plant2, "plant", "key", indexes=[["name"]])])

    found = store.records("plant").list(field("name").contains("STRASSE"))
    assert [row.key for row in found] == ["fern"]
    assert store.admin.migrations() == []


@pytest.mark.usefixtures("planted")
def test_a_longer_text_and_one_that_may_be_missing_now_are_safe(open_store: Opener) -> None:
    class Plant2(Tracked, frozen=True, kw_only=True):
        key: Annotated[str, Text(20)]
        name: Annotated[str | None, Text(500)] = None
        height: float | None = 0.0

    store = open_store(kinds=[Kind(Plant2, "plant", "key", indexes=[["name"]])])

    assert store.records("plant").update("fern", name="x" * 500, height=None).height is None
    assert [row.key for row in store.records("plant").list()] == ["fern", "ivy", "oak"]


@pytest.mark.usefixtures("planted")
def test_indexes_come_and_go_with_their_declaration(open_store: Opener) -> None:
    more = Kind(Plant1, "plant", "key", indexes=[["height", "name"]])

    store = open_store(kinds=[more])
    assert store.admin.migrations() == []
    assert len(plants(store)) == 3
    store.close()

    store = open_store(kinds=[Kind(Plant1, "plant", "key")])
    assert len(plants(store)) == 3


@pytest.mark.usefixtures("planted")
def test_a_unique_rule_that_the_records_break_is_refused_and_changes_nothing(open_store: Opener, url: str) -> None:
    store = open_store(kinds=[PLANTS_1])
    store.records(PLANTS_1).put(Plant1(key="elm", name="Oak"))
    store.close()
    before = digest(url)

    with pytest.raises(iotstore.StoreError):
        open_store(kinds=[Kind(Plant1, "plant", "key", indexes=[["name"]], unique=[["name"]])])

    assert digest(url) == before
    assert len(plants(open_store(kinds=[PLANTS_1]))) == 4


@pytest.mark.usefixtures("planted")
def test_a_new_kind_and_a_reference_to_it_come_with_the_next_opening(open_store: Opener) -> None:
    class Garden(Record, frozen=True, kw_only=True):
        key: str

    class Plant2(Tracked, frozen=True, kw_only=True):
        key: Annotated[str, Text(20)]
        name: Annotated[str | None, Text(50)] = None
        height: float = 0.0
        garden: str | None = None

    gardens = Kind(Garden, "garden", "key")
    kinds = [gardens, Kind(Plant2, "plant", "key", references={"garden": ("garden", OnDelete.CLEAR)})]

    store = open_store(kinds=kinds)
    store.records(gardens).add(Garden(key="south"))
    store.records("plant").update("fern", garden="south")
    store.records(gardens).delete("south")

    assert plants(store)["fern"].garden is None


@pytest.mark.usefixtures("planted")
def test_a_kind_that_is_no_longer_declared_keeps_its_records(open_store: Opener) -> None:
    open_store().close()

    assert len(plants(open_store(kinds=[PLANTS_1]))) == 3


@pytest.mark.usefixtures("planted")
def test_opening_again_with_the_same_kinds_changes_no_byte(open_store: Opener, url: str) -> None:
    before = digest(url)

    open_store(kinds=[PLANTS_1]).close()

    assert digest(url) == before


@pytest.mark.usefixtures("planted")
def test_a_merge_rule_is_changed_by_declaring_it(open_store: Opener) -> None:
    store = open_store(kinds=[Kind(Plant1, "plant", "key", merge={"name": Merge.COALESCE})])

    assert store.records("plant").put(Plant1(key="fern")).name == "Straße"
    assert store.admin.migrations() == []


# Declared steps ---------------------------------------------------------------------------------------------------


class Renamed(Tracked, frozen=True, kw_only=True):
    key: Annotated[str, Text(20)]
    title: Annotated[str | None, Text(50)] = None
    height: float = 0.0


RENAMED = Kind(Renamed, "plant", "key", indexes=[["title"]], version=2, steps=[Rename(2, "name", "title")])


@pytest.mark.usefixtures("planted")
def test_a_renamed_field_keeps_its_values_and_its_index(open_store: Opener) -> None:
    store = open_store(kinds=[RENAMED])

    assert {key: row.title for key, row in plants(store).items()} == {"fern": "Straße", "ivy": None, "oak": "Oak"}
    assert store.admin.migrations() == []


def test_a_renamed_field_that_is_searched_keeps_its_search(open_store: Opener) -> None:
    class Before(Record, frozen=True, kw_only=True):
        key: str
        name: Annotated[str | None, Text(50, search=True)] = None

    class After(Record, frozen=True, kw_only=True):
        key: str
        title: Annotated[str | None, Text(50, search=True)] = None

    first = open_store(kinds=[Kind(Before, "book", "key", indexes=[["name"]])])
    first.records("book").add(Before(key="a", name="Große Bücher"))
    first.close()

    steps = [Rename(2, "name", "title")]
    store = open_store(kinds=[Kind(After, "book", "key", indexes=[["title"]], version=2, steps=steps)])

    assert [row.key for row in store.records("book").list(field("title").contains("GROSSE"))] == ["a"]


@pytest.mark.usefixtures("planted")
def test_a_renamed_kind_keeps_its_records(open_store: Opener) -> None:
    store = open_store(
        kinds=[Kind(Plant1, "flower", "key", indexes=[["name"]], version=2, steps=[RenameKind(2, "plant")])]
    )

    assert [row.key for row in store.records("flower").list(order=["-key"])] == ["oak", "ivy", "fern"]
    assert "plant" not in store.admin.statistics().rows
    assert store.admin.migrations() == []


class Dropped(Tracked, frozen=True, kw_only=True):
    key: Annotated[str, Text(20)]
    height: float = 0.0


DROPPED = Kind(Dropped, "plant", "key", version=2, steps=[Drop(2, "name")])


@pytest.mark.usefixtures("planted")
def test_a_dropped_field_goes_after_a_backup_that_brings_it_back(open_store: Opener, tmp_path: Path) -> None:
    store = open_store(kinds=[DROPPED])
    assert plants(store)["fern"].height == 1.5
    (backup,) = store.backups.list()
    store.close()

    back = f"sqlite:///{tmp_path}/back.db"
    iotstore.restore(backup.path, back)

    restored = open_store(url=back, kinds=[PLANTS_1])
    assert plants(restored)["fern"].name == "Straße"


@pytest.mark.usefixtures("planted")
def test_a_transform_rewrites_every_record_in_order_of_its_version(open_store: Opener) -> None:
    def grow(fields: Mapping[str, Any]) -> dict[str, Any]:
        return {"height": fields["height"] + 1}

    def double(fields: Mapping[str, Any]) -> dict[str, Any]:
        return {"height": fields["height"] * 2, "name": (fields["name"] or "").upper()}

    steps = [Transform(3, double), Transform(2, grow)]
    store = open_store(kinds=[Kind(Plant1, "plant", "key", indexes=[["name"]], version=3, steps=steps)])

    assert {key: (row.name, row.height) for key, row in plants(store).items()} == {
        "fern": ("STRASSE", 5.0), "ivy": ("", 6.0), "oak": ("OAK", 2.0),
    }  # fmt: skip


@pytest.mark.usefixtures("planted")
def test_a_transform_fills_a_field_that_it_is_the_first_to_know(open_store: Opener) -> None:
    class Plant2(Tracked, frozen=True, kw_only=True):
        key: Annotated[str, Text(20)]
        name: Annotated[str | None, Text(50, search=True)] = None
        height: float = 0.0
        label: Annotated[str | None, Text(80, search=True)] = None

    steps = [Transform(2, lambda fields: {"label": f"{fields['key']}: {fields['name']}"})]
    store = open_store(kinds=[Kind(Plant2, "plant", "key", version=2, steps=steps)])

    assert [row.key for row in store.records("plant").list(field("label").contains("FERN: STRASSE"))] == ["fern"]
    assert [row.key for row in store.records("plant").list(field("name").contains("oAK"))] == ["oak"]


@pytest.mark.usefixtures("planted")
def test_a_transform_raises_the_versions_and_is_told_to_observers(open_store: Opener) -> None:
    first = open_store(kinds=[PLANTS_1])
    before = {key: row.version for key, row in plants(first).items()}
    first.close()

    steps = [Transform(2, lambda fields: {"height": 0.0})]  # noqa: ARG005 - what it was does not matter
    after = plants(open_store(kinds=[Kind(Plant1, "plant", "key", indexes=[["name"]], version=2, steps=steps)]))

    assert all(after[key].version > version for key, version in before.items())


@pytest.mark.usefixtures("planted")
def test_a_text_becomes_shorter_when_a_transform_cuts_what_is_longer(open_store: Opener) -> None:
    cut = [Transform(2, lambda fields: {"name": fields["name"] and fields["name"][:3]})]

    store = open_store(kinds=[Kind(Short, "plant", "key", version=2, steps=cut)])

    assert {row.name for row in plants(store).values()} == {"Str", "Oak", None}


@pytest.mark.usefixtures("planted")
def test_a_text_that_stays_too_long_for_its_declaration_stops_the_migration(open_store: Opener) -> None:
    idle = [Transform(2, lambda fields: {})]  # noqa: ARG005 - it does nothing

    with pytest.raises(InvalidValue, match="name: has 6 characters; allowed are 0 to 3"):
        open_store(kinds=[Kind(Short, "plant", "key", version=2, steps=idle)])

    assert plants(open_store(kinds=[PLANTS_1]))["fern"].name == "Straße"


@pytest.mark.usefixtures("planted")
def test_a_step_that_was_taken_is_not_taken_again(open_store: Opener) -> None:
    calls: list[str] = []

    def note(fields: Mapping[str, Any]) -> dict[str, Any]:
        calls.append(fields["key"])
        return {}

    kind = Kind(Plant1, "plant", "key", indexes=[["name"]], version=2, steps=[Transform(2, note)])
    for _ in range(3):
        open_store(kinds=[kind]).close()

    assert sorted(calls) == ["fern", "ivy", "oak"]


# Refused, and nothing touched -------------------------------------------------------------------------------------


class Short(Tracked, frozen=True, kw_only=True):
    key: Annotated[str, Text(20)]
    name: Annotated[str | None, Text(3)] = None
    height: float = 0.0


class Must(Tracked, frozen=True, kw_only=True):
    key: Annotated[str, Text(20)]
    name: Annotated[str, Text(50)]
    height: float = 0.0


class Other(Tracked, frozen=True, kw_only=True):
    key: Annotated[str, Text(20)]
    name: Annotated[str | None, Text(50)] = None
    height: int = 0


class New(Tracked, frozen=True, kw_only=True):
    key: Annotated[str, Text(20)]
    name: Annotated[str | None, Text(50)] = None
    height: float = 0.0
    needed: int


class Untracked(Record, frozen=True, kw_only=True):
    key: Annotated[str, Text(20)]
    name: Annotated[str | None, Text(50)] = None
    height: float = 0.0


def test_records_that_begin_to_be_tracked_start_with_the_version_0_and_are_guarded_from_then_on(
    open_store: Opener,
) -> None:
    with open_store(kinds=[Kind(Untracked, "herb", "key")]) as store:
        store.records("herb").add(Untracked(key="mint"))

    store = open_store(kinds=[Kind(Plant1, "herb", "key")])
    assert store.records("herb").get("mint").version == 0
    grown = store.records("herb").update("mint", expected=0, height=1.0)
    assert grown.version == 1
    with pytest.raises(VersionConflict, match="has version 1, not the expected 0"):
        store.records("herb").update("mint", expected=0, height=2.0)


REFUSED: list[tuple[Kind[Any], str]] = [
    (
        Kind(Dropped, "plant", "key"),
        r"no longer declares the stored field 'name'; declare version=2, Drop\(2, 'name'\)",
    ),
    (Kind(Must, "plant", "key"), "field 'name' of kind plant could be None and no longer may"),
    (Kind(Other, "plant", "key"), "field 'height' of kind plant was real and is declared int"),
    (Kind(New, "plant", "key"), "declares the new field 'needed' without a default; give it one"),
    (Kind(Plant1, "plant", ("key", "height")), "has another key or tracking than stored"),
    (Kind(Untracked, "plant", "key"), "has another key or tracking than stored"),
    (Kind(Short, "plant", "key"), "field 'name' of kind plant held up to 50 and is declared for 3"),
]


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize(("kind", "problem"), REFUSED, ids=[problem for _, problem in REFUSED])
def test_what_can_not_be_told_is_refused_and_no_byte_is_changed(
    open_store: Opener, url: str, kind: Kind[Any], problem: str
) -> None:
    before = digest(url)

    with pytest.raises(MigrationNeeded, match=problem):
        open_store(kinds=[kind])

    assert digest(url) == before
    assert len(plants(open_store(kinds=[PLANTS_1]))) == 3


@pytest.mark.usefixtures("planted")
def test_a_store_of_a_newer_version_is_refused_and_no_byte_is_changed(open_store: Opener, url: str) -> None:
    open_store(kinds=[RENAMED]).close()
    before = digest(url)

    with pytest.raises(NewerSchema, match="kind plant is stored in version 2, and this code declares 1; run the newer"):
        open_store(kinds=[PLANTS_1])

    assert digest(url) == before


@pytest.mark.usefixtures("planted")
def test_without_migrate_a_store_that_needs_one_is_refused_with_its_plan_and_no_byte_is_changed(
    open_store: Opener, url: str
) -> None:
    before = digest(url)

    with pytest.raises(MigrationNeeded, match=r"plant: RenameColumn name to title.*; open it with migrate=True"):
        open_store(kinds=[RENAMED], migrate=False)

    assert digest(url) == before


@pytest.mark.usefixtures("planted")
def test_a_transform_that_fails_leaves_everything_as_it_was(open_store: Opener) -> None:
    def fail_on_oak(fields: Mapping[str, Any]) -> dict[str, Any]:
        if fields["key"] == "oak":
            raise ZeroDivisionError("no oaks")
        return {"height": 99.0}

    class Plant2(Plant1, frozen=True, kw_only=True):
        extra: int = 5

    kind = Kind(Plant2, "plant", "key", indexes=[["name"]], version=2, steps=[Transform(2, fail_on_oak)])

    with pytest.raises(ZeroDivisionError, match="no oaks"):
        open_store(kinds=[kind])

    store = open_store(kinds=[PLANTS_1])
    assert {key: row.height for key, row in plants(store).items()} == {"fern": 1.5, "ivy": 2.0, "oak": 0.0}
    assert store.admin.migrations() == []


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"key": "other"}, "key: can't be changed by a Transform"),
        ({"version": 5}, "version: can't be changed by a Transform"),
        ({"nothing": 5}, "nothing: can't be changed by a Transform"),
        ({"height": "tall"}, "height: expected a number, got str"),
    ],
)
def test_a_transform_with_a_wrong_answer_is_refused(open_store: Opener, answer: dict[str, Any], problem: str) -> None:
    steps = [Transform(2, lambda fields: answer)]  # noqa: ARG005 - what it was does not matter

    with pytest.raises(InvalidValue, match=problem):
        open_store(kinds=[Kind(Plant1, "plant", "key", indexes=[["name"]], version=2, steps=steps)])

    assert plants(open_store(kinds=[PLANTS_1]))["fern"].height == 1.5


def test_a_missing_store_is_an_error_without_create_and_nothing_is_made(open_store: Opener, tmp_path: Path) -> None:
    with pytest.raises(iotstore.StoreError, match=r"home\.db"):
        open_store(create=False)

    assert not (tmp_path / "store" / "home.db").exists()


# Two at once ------------------------------------------------------------------------------------------------------


def grown(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"height": fields["height"] + 1}


GROWN = Kind(Plant1, "plant", "key", indexes=[["name"]], version=2, steps=[Transform(2, grown)])


def migrate(url: str, start: Any, answers: Any) -> None:
    start.wait(timeout=60)
    try:
        with iotstore.open(url, kinds=[GROWN]) as store:
            answers.put(("ok", sorted((row.key, row.height) for row in store.records("plant").list())))
    except iotstore.StoreError as error:
        answers.put(("error", repr(error)))


def test_two_processes_that_migrate_at_once_take_each_step_once(planted: str) -> None:
    # Forked, so that the children know this module, which has no importable name.
    context = multiprocessing.get_context("fork")
    start, answers = context.Barrier(2), context.Queue()
    workers = [context.Process(target=migrate, args=(planted, start, answers)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = [answers.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(timeout=60)

    assert found == [("ok", [("fern", 2.5), ("ivy", 3.0), ("oak", 1.0)])] * 2


def test_a_reserved_name_is_refused_before_anything_is_made(open_store: Opener, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="two kinds are called 'device'"):
        open_store(kinds=[Kind(Plant1, "device", "key")])

    assert list(tmp_path.iterdir()) == []
