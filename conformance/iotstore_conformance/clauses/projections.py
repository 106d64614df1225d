"""Projections: a second store of the same backend that answers questions about the graph of the first."""

from __future__ import annotations

import pytest

from iotstore import Device, Diverged, Lagging, Store
from iotstore.backend import Capability
from iotstore_conformance.graphs import Drawn, draw, large
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import Stage


def _composed(stage: Stage) -> tuple[Store, Drawn]:
    """A store with a projection that is fed when it is told to, and a graph in it."""
    store = stage.open(relationships=stage.url(stage.new_place()), projector=False)
    drawn = large(40, 100)
    draw(store, [drawn])
    store.projection.sync()
    return store, drawn


def _answers(store: Store, drawn: Drawn, consistency: str) -> list[object]:
    """What the store says of the graph, asked of the projection or of the records."""
    ask, given = store.relationships, {"types": drawn.types, "consistency": consistency}
    nodes = sorted(node for node in drawn.graph.nodes if store.records(node.kind).find(node.key) is not None)
    found: list[object] = [ask.components(**given), ask.cycles(length=3, **given), ask.centrality("degree", **given)]  # type: ignore[arg-type]  # words
    for start, end in zip(nodes[::15], nodes[4::15], strict=False):
        for direction in ("out", "in", "both"):
            found.append(ask.of(start, direction=direction, **given))  # type: ignore[arg-type]  # as above
            found.append(ask.neighbours(start, hops=3, direction=direction, **given))  # type: ignore[arg-type]  # as above
            found.append(ask.shortest_path(start, end, direction=direction, **given))  # type: ignore[arg-type]  # as above
        found.append(ask.shortest_path(start, end, weighted=True, **given))  # type: ignore[arg-type]  # as above
        found.append(ask.subgraph([start, end], **given))  # type: ignore[arg-type]  # as above
    return found


def _change(store: Store, drawn: Drawn) -> None:
    """Records and relations come, change and go."""
    devices = [str(node.key) for node in drawn.graph.nodes if node.kind == "device"]
    for key in devices[::4]:
        store.devices.delete(key)
    for one in drawn.graph.relations[::5]:
        if store.relationships.relation(one.source, one.type, one.target) is not None:
            store.relationships.unrelate(one.source, one.type, one.target)
    store.devices.add(Device(key=devices[0]))
    store.devices.update(devices[1], active=False)
    store.relationships.relate(("device", devices[0]), drawn.types[0], ("device", devices[2]), weight=0.125)


def _followed(stage: Stage) -> Store:
    """Fill, change and rebuild a projection; each time its answers are those of the records."""
    store, drawn = _composed(stage)
    filled = _answers(store, drawn, "primary")
    assert _answers(store, drawn, "projected") == filled
    _change(store, drawn)
    assert store.projection.status().waiting
    assert store.projection.sync()
    changed = _answers(store, drawn, "primary")
    assert changed != filled
    assert _answers(store, drawn, "projected") == changed
    assert _answers(store, drawn, "read-your-writes") == changed
    assert store.projection.sync() == 0
    assert store.projection.rebuild()
    assert _answers(store, drawn, "projected") == changed
    assert store.projection.verify()
    status = store.projection.status()
    assert (status.state, status.waiting, status.dead_letters) == ("live", 0, 0)
    return store


@clause("REL-040", profile="relationships")
def projections_follow_their_primary(stage: Stage) -> None:
    """A projection that has caught up MUST give the answers that the records give, after changes and deletions and
    when it was made anew, and be found equal to its primary."""
    _followed(stage)


@clause("REL-041", profile="relationships", needs=[Capability.GRAPH])
def kept_edges_are_those_of_the_records(stage: Stage) -> None:
    """A store that keeps edges as such MUST give from them, as a projection, the answers that the records give, and
    keep none of a record that is gone."""
    store = _followed(stage)
    assert store.projection.target.graph
    for node in store.devices.list():
        store.devices.delete(node.key)
    store.projection.sync()
    assert store.relationships.components(consistency="projected") == []
    assert store.projection.verify()


@clause("REL-042", profile="relationships")
def what_a_projection_lacks_is_told(stage: Stage) -> None:
    """A projection that is not made yet MUST raise Diverged when it is compared, and one that has not caught up Lagging
    to whoever waits for his own writes; questions are answered all the while, in a transaction with its own changes."""
    store = stage.open(relationships=stage.url(stage.new_place()), projector=False)
    ask, a, b = store.relationships, ("device", "a"), ("device", "b")
    store.devices.add_many([Device(key="a"), Device(key="b")])
    ask.relate(a, "FEEDS", b)
    assert store.projection.status().state == "new"
    with pytest.raises(Diverged, match=r".") as apart:
        store.projection.verify()
    assert apart.value.hint
    assert len(ask.of(a)) == 1
    store.projection.sync()
    ask.unrelate(a, "FEEDS", b)
    with pytest.raises(Lagging, match=r".") as behind:
        store.projection.wait(0.0)
    assert behind.value.retryable
    assert ask.of(a, consistency="primary") == []
    with store.transaction():
        ask.relate(a, "WATCHES", b)
        assert [one.type for one in ask.of(a)] == ["WATCHES"]
    store.projection.sync()
    store.projection.wait(0.0)
    assert [one.type for one in ask.of(a, consistency="read-your-writes")] == ["WATCHES"]
