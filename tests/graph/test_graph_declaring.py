"""What kinds may say of the graph, and what follows from it."""

from typing import Annotated

import pytest

from iotstore import (
    SELF,
    ConfigurationError,
    Device,
    Int,
    InvalidValue,
    Kind,
    Node,
    OnDelete,
    Real,
    Record,
    Relates,
    Text,
    Tracked,
)


class Pipe(Tracked, frozen=True, kw_only=True):
    """Leads water from one device to another."""

    key: Annotated[str, Text(40, min=1)]
    start: Annotated[str, Text(120, min=1)]
    end: Annotated[str | None, Text(120, min=1)] = None
    length: Annotated[float | None, Real(min=0.0)] = None
    slope: float = 0.0


ENDS = {"start": ("device", OnDelete.CASCADE), "end": ("device", OnDelete.CLEAR)}
FLOWS = Relates("FLOWS_TO", source="start", target="end", weight="length")


def pipes(*relates, **said):
    return Kind(Pipe, "pipe", "key", references=ENDS, relates=relates, **said)


def test_a_kind_of_an_application_declares_edges_between_what_it_points_to(open_store):
    store = open_store(kinds=[pipes(FLOWS, Relates("DRAINS", source=SELF, target="end"))])
    store.devices.add_many([Device(key=key) for key in "abc"])
    store.records("pipe").add_many(
        [
            Pipe(key="1", start="a", end="b", length=7.5),
            Pipe(key="2", start="a", end="b", length=2.5),
            Pipe(key="3", start="b", end="c"),
            Pipe(key="4", start="a"),
        ]
    )

    found = store.relationships.of(("device", "b"))
    assert [(one.source, one.type, one.target.key, one.weight) for one in found] == [
        (Node("device", "a"), "FLOWS_TO", "b", 2.5),  # of two pipes the shorter one
        (Node("device", "b"), "FLOWS_TO", "c", None),
        (Node("pipe", "1"), "DRAINS", "b", None),
        (Node("pipe", "2"), "DRAINS", "b", None),
    ]
    light = store.relationships.shortest_path(("device", "a"), ("device", "c"), types="FLOWS_TO", weighted=True)
    assert light is not None
    assert light.weight == 3.5
    assert store.relationships.of(("device", "a"), types="FLOWS_TO", direction="in") == []


def test_what_is_declared_can_not_be_written_by_hand_unless_it_says_so(open_store):
    writable = Relates("FLOWS_TO", source="start", target="end", writable=True)
    alone, beside = (open_store(url="sqlite://:memory:", kinds=[pipes(relates)]) for relates in (FLOWS, writable))
    for store in (alone, beside):
        store.devices.add_many([Device(key=key) for key in "ab"])

    with pytest.raises(InvalidValue, match="comes from records of pipe; set 'end' of the pipe instead"):
        alone.relationships.relate(("device", "a"), "FLOWS_TO", ("device", "b"))
    beside.relationships.relate(("device", "a"), "FLOWS_TO", ("device", "b"))
    assert len(beside.relationships.of(("device", "a"))) == 1


class Bare(Record, frozen=True, kw_only=True):
    """Carries no version."""

    key: Annotated[str, Text(40, min=1)]
    device: Annotated[str | None, Text(120, min=1)] = None


class Joint(Tracked, frozen=True, kw_only=True):
    """Has a composed key."""

    one: Annotated[str, Text(120, min=1)]
    two: Annotated[str, Text(120, min=1)]


class Odd(Tracked, frozen=True, kw_only=True):
    """Has a key that is neither text nor number."""

    key: float


@pytest.mark.parametrize(
    ("declare", "match"),
    [
        (lambda: pipes(Relates("flows", source="start")), "edge type 'flows' is not upper-case"),
        (lambda: pipes(Relates("FLOWS")), "FLOWS has one end only"),
        (lambda: pipes(Relates("FLOWS", source="start", target="start")), "FLOWS has one end only"),
        (
            lambda: pipes(Relates("FLOWS", target="length")),
            "ends at 'length', which is no field that points to a record",
        ),
        (lambda: pipes(Relates("FLOWS", target="end", weight="nothing")), "weighed by 'nothing', which is no number"),
        (lambda: pipes(Relates("FLOWS", target="end", weight="slope")), "weighed by 'slope', which is no number"),
        (lambda: Kind(Bare, "bare", "key", relates=()), "carries no version"),
        (lambda: Kind(Odd, "odd", "key", relates=()), "the key 'key' is no text or int"),
        (
            lambda: Kind(
                Joint,
                "joint",
                ("one", "two"),
                references={"one": ("device", OnDelete.CASCADE)},
                relates=[Relates("JOINS", source="one")],
            ),
            "JOINS ends at the record itself, whose key is composed",
        ),
    ],
)
def test_a_declaration_that_makes_no_graph_is_refused_when_it_is_made(declare, match):
    with pytest.raises(ConfigurationError, match=match):
        declare()


class Note(Tracked, frozen=True, kw_only=True):
    """Is about a flow, which carries no version."""

    key: Annotated[str, Text(40, min=1)]
    flow: Annotated[int, Int(min=1)]


def test_an_edge_to_a_kind_that_carries_no_version_is_refused_when_the_store_is_opened(open_store):
    kind = Kind(
        Note,
        "note",
        "key",
        references={"flow": ("connection", OnDelete.KEEP)},
        relates=[Relates("ABOUT", target="flow")],
    )

    with pytest.raises(ConfigurationError, match="kind connection is a node of the graph and carries no version"):
        open_store(kinds=[kind])


def test_records_of_a_kind_that_says_nothing_of_the_graph_are_no_nodes(open_store):
    store = open_store(kinds=[Kind(Bare, "bare", "key")])

    for kind in ("bare", "connection", "setting"):
        with pytest.raises(InvalidValue, match=f"'{kind}' is no kind of nodes"):
            store.relationships.of((kind, "x"))
