"""The text of statements: every value is a parameter, and every name is checked before it is quoted."""

import pytest

from iotstore.backend import (
    Aggregate,
    And,
    Bucketed,
    Buckets,
    Column,
    Compare,
    ConfigurationError,
    Contains,
    EngineError,
    Function,
    Index,
    Layout,
    Measure,
    Op,
    Order,
    Piece,
    Select,
    Settings,
    Type,
)
from iotstore_neo4j._cypher import aggregate_text, select_text
from iotstore_neo4j._graph import held_name, holder_of
from iotstore_neo4j._names import Names, edge_type, quoted
from iotstore_neo4j._options import Tuning
from iotstore_neo4j._registry import Belief, Believed, Entry

NAMES = Names("home")
LAYOUT = Layout(
    "device",
    (
        Column("key", Type.TEXT, max_length=60),
        Column("name", Type.TEXT, nullable=True, max_length=200),
        Column("seen", Type.TIME, nullable=True),
        Column("notes", Type.TEXT, nullable=True),
        Column("tags", Type.TEXTSET, nullable=True),
    ),
    ("key",),
    indexes=(Index(("name", "seen")), Index(("notes",)), Index(("tags",))),
)


@pytest.mark.parametrize("name", ["", "a b", "a`b", "1a", "a\\u0060", "é", "a\n"])
def test_a_name_that_quoting_would_not_tame_is_refused(name: str) -> None:
    with pytest.raises(EngineError, match="no name that Neo4j is asked for"):
        quoted(name)


@pytest.mark.parametrize("name", ["", "owns", "OWNS`", "OWNS|X", "1A", "A" * 61])
def test_a_type_of_edges_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(EngineError, match="no type of edges"):
        edge_type(name)


@pytest.mark.parametrize("prefix", ["", "a_b", "1a", "a-b", "a`", "a" * 42])
def test_a_prefix_that_could_begin_another_store_s_labels_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="option prefix"):
        Names(prefix)


def test_the_values_of_a_filter_are_parameters() -> None:
    where = And((Compare("key", Op.GE, "x'`) DETACH DELETE n //"), Contains("name", "%")))
    text, values = select_text(NAMES, LAYOUT, Select(where, limit=3))

    assert "DETACH" not in text
    assert list(values.values()) == ["x'`) DETACH DELETE n //", "%"]


def test_only_what_may_be_missing_is_ordered_by_whether_it_is_there() -> None:
    text, _ = select_text(NAMES, LAYOUT, Select(order=(Order("name", descending=True), Order("key"))))

    assert text.endswith("ORDER BY n.`name` IS NOT NULL DESC, n.`name` DESC, n.`key`")


def test_thousands_of_buckets_are_a_tree_of_few_comparisons() -> None:
    pieces = tuple(Piece(n * 100, 10 + n % 2, n * 10) for n in range(4096))
    query = Aggregate((Bucketed("seen", Buckets(pieces, 409_600)),), (Measure(Function.COUNT),))

    text, _ = aggregate_text(NAMES, LAYOUT, query)

    depth = most = 0
    for word in text.split():
        depth += (word.lstrip("(") == "CASE") - (word.rstrip(")") == "END")
        most = max(most, depth)
    assert most <= 12


def test_what_may_be_too_long_for_an_index_gets_none() -> None:
    entry = Entry.of(LAYOUT)

    assert entry.indexed(("name", "seen"))
    assert not entry.indexed(("notes",))
    assert not entry.indexed(("tags",))


def test_the_entry_of_a_layout_can_be_written_and_read() -> None:
    entry = Entry.of(LAYOUT).renamed("name", "title").without_index(Index(("notes",)))

    assert Entry.read(entry.written()) == entry
    assert (("title", "seen"), False) in entry.indexes


def test_names_of_holders_are_ordered_as_layouts_and_keys_are() -> None:
    entries = {
        "alert": Entry((("id", "int"),), (), {}),
        "device": Entry((("key", "text"),), (), {}),
        "device_group": Entry((("key", "text"),), (), {}),
        "member": Entry((("a", "text"), ("b", "text")), (), {}),
    }
    holders: list[tuple[str, tuple[object, ...]]] = [
        *(("alert", (number,)) for number in (-(2**63), -1, 0, 7, 2**63 - 1)),
        *(("device", (key,)) for key in ("", "a", "a b", "b", "é")),
        ("device_group", ("a",)),
        *(("member", key) for key in (("", "z"), ("a", ""), ("a", "b"), ("ab", ""))),
    ]
    written = [held_name(NAMES, holder) for holder in holders]

    assert written == sorted(written)
    assert [holder_of(NAMES, entries, text) for text in written] == holders
    assert holder_of(NAMES, entries, "somebody_device\0a") is None


def test_what_a_handle_knows_of_a_layout_stays_until_its_reader_looks_again() -> None:
    belief = Belief()
    belief.learn(Believed(1, {"device": 1}, {}, ()), fully=True)
    belief.learn(Believed(2, {"device": 2, "alert": 2}, {}, ()), fully=False)
    now = belief.now

    assert now is not None
    assert dict(now.marks) == {"device": 1, "alert": 2}


def settings(path: str = "", **options: object) -> Settings:
    return Settings("neo4j", None, None, (("localhost", None),), path, "neo4j://localhost", options)


def test_the_path_of_a_url_is_the_database() -> None:
    assert Tuning.of(settings("/home")).database == "home"
    assert Tuning.of(settings()).database == "neo4j"
    with pytest.raises(ConfigurationError, match="names no database"):
        Tuning.of(settings("/a/b"))


@pytest.mark.parametrize(("name", "value"), [("pool_size", 0), ("lock_timeout", -1.0), ("read_timeout", True)])
def test_an_option_out_of_its_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"option {name}"):
        Tuning.of(settings(**{name: value}))
