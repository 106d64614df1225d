"""No question that an index could answer reads every node, and a page ends where it ends."""

from collections.abc import Callable

import pytest

import iotstore
from iotstore.backend import ALWAYS, And, Compare, Filter, Layout, OnConflict, Op, Order, Select, Type
from iotstore_neo4j._cypher import after, select_text, spoken, total_order
from iotstore_neo4j.store import Neo4jBackend

pytestmark = pytest.mark.neo4j

_VALUES = {Type.INT: 1, Type.TIME: 1, Type.TEXT: "x", Type.BOOL: True, Type.REAL: 1.0}


@pytest.fixture
def backend(url: str, connect: Callable[..., Neo4jBackend]) -> Neo4jBackend:
    """A store with the kinds that every store has."""
    iotstore.open(url).close()
    return connect()


@pytest.fixture
def layouts() -> list[Layout]:
    """The layouts of these kinds."""
    with iotstore.open("sqlite://:memory:") as store:
        return [kind.layout for kind in store.kinds.values()]


def steps(backend: Neo4jBackend, layout: Layout, query: Select) -> list[str]:
    """The names of the steps in the plan of a selection."""
    text, values = select_text(backend.names, layout, query)
    with backend.wire.session() as session:
        plan = session.run(spoken("EXPLAIN " + text), values).consume().plan
    assert plan is not None
    found: list[str] = []
    todo = [plan]
    while todo:
        one = todo.pop()
        found.append(one["operatorType"].partition("@")[0])
        todo += one.get("children", [])
    return found


def equal(layout: Layout, columns: tuple[str, ...]) -> Filter:
    return And(tuple(Compare(name, Op.EQ, _VALUES[layout.column(name).type]) for name in columns))


def test_the_beginning_of_every_key_and_index_is_found_without_a_look_at_every_node(
    backend: Neo4jBackend, layouts: list[Layout]
) -> None:
    scanned = [
        (layout.name, columns[:few])
        for layout in layouts
        for columns in (layout.key, *(index.columns for index in layout.indexes))
        for few in range(1, len(columns) + 1)
        # A text of any length is in no index.
        if all(layout.column(name).type is not Type.TEXT or layout.column(name).max_length for name in columns[:few])
        and "NodeByLabelScan" in steps(backend, layout, Select(equal(layout, columns[:few])))
    ]

    assert scanned == []


def test_a_page_begins_in_the_middle_of_the_key_s_index_and_sorts_nothing(
    backend: Neo4jBackend, layouts: list[Layout]
) -> None:
    (layout,) = [layout for layout in layouts if layout.name == "membership"]
    row = tuple(_VALUES[column.type] for column in layout.columns)
    order = total_order(layout, ())

    found = steps(backend, layout, Select(after(order, layout, row), order, 100))

    assert not {"Top", "Sort", "NodeByLabelScan"} & set(found)


@pytest.mark.parametrize("turns", [(False, False), (True, True), (True, False), (False, True)])
def test_pages_of_any_direction_have_every_row_once(
    backend: Neo4jBackend, layouts: list[Layout], turns: tuple[bool, bool]
) -> None:
    (layout,) = [layout for layout in layouts if layout.name == "contact"]
    first, second = (layout.position[name] for name in layout.key)
    rows = []
    for number in range(30):
        row: list[object] = [_VALUES[column.type] for column in layout.columns]
        row[first], row[second] = f"a{number % 4}", f"b{number // 4}"
        rows.append(tuple(row))
    order = tuple(Order(name, descending=turn) for name, turn in zip(layout.key, turns, strict=True))
    with backend.write() as session:
        session.insert_many(layout, rows, OnConflict.ERROR)
    rows.sort(key=lambda row: row[second], reverse=turns[1])
    rows.sort(key=lambda row: row[first], reverse=turns[0])

    with backend.read() as session:
        pages = list(session.stream(layout, Select(ALWAYS, order), 7))

    assert [row for page in pages for row in page] == rows
    assert [len(page) for page in pages] == [7, 7, 7, 7, 2]
