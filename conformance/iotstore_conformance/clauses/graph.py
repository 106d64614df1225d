"""Questions about the graph: answers are those of the reference model, whatever shape the graph has."""

from __future__ import annotations

import math
from importlib.util import find_spec
from itertools import product

import pytest

from iotstore import Device, GraphPath, InvalidValue, LimitExceeded, Node, NotFound, Relationship, field
from iotstore_conformance.applicable import not_run
from iotstore_conformance.graphs import DIRECTIONS, Drawn, draw, large, shapes, written
from iotstore_conformance.model_graph import Graph, Way
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import Effort, Stage

#: Nodes and relations of the random graph beside the small ones.
_LARGE: dict[Effort, tuple[int, int]] = {"fast": (80, 220), "full": (10_000, 50_000)}


def _small(stage: Stage) -> list[Drawn]:
    drawn = shapes()
    draw(stage.store, drawn)
    return drawn


def _all_sizes(stage: Stage) -> list[Drawn]:
    """The small graphs, and a large one."""
    drawn = [*shapes(), large(*_LARGE[stage.effort])]
    draw(stage.store, drawn)
    return drawn


def _plain(found: GraphPath | None) -> Way | None:
    return None if found is None else (found.nodes, found.relations)


@clause("REL-020", profile="relationships", deep=True)
def neighbours_are_those_within_hops(stage: Stage) -> None:
    """Neighbours MUST be the records within so many relations of the types and direction asked for, each once, with
    the fewest hops to it, the nearest first, then by kind and key."""
    ask = stage.store.relationships.neighbours
    for one in _all_sizes(stage):
        for start, direction, hops in product(one.some[:2], DIRECTIONS, (1, 3)):
            found = ask(start, hops=hops, types=one.types, direction=direction)
            assert [tuple(near) for near in found] == one.graph.neighbours(start, direction, hops)
        start, first = one.some[0], one.types[0]
        found = ask(start, hops=3, types=first)
        assert [tuple(near) for near in found] == one.graph.of([first]).neighbours(start, "both", 3)


@clause("REL-021", profile="relationships")
def the_relations_of_a_record_are_given(stage: Stage) -> None:
    """The relations of a record MUST be all that begin or end at it in the direction asked for, once each, with
    their weights, ordered by source, type and target."""
    for one in _small(stage):
        for start, direction in product(one.some, DIRECTIONS):
            found = stage.store.relationships.of(start, direction=direction)
            assert found == one.graph.at(start, direction)
            assert [repr(each.weight) for each in found] == [
                repr(each.weight) for each in one.graph.at(start, direction)
            ]


@clause("REL-022", profile="relationships", deep=True)
def subgraphs_are_whole(stage: Stage) -> None:
    """A subgraph MUST hold the records within so many relations of some and every relation between two of them,
    those between the outermost too."""
    ask = stage.store.relationships.subgraph
    for one in _all_sizes(stage):
        for direction, hops in product(DIRECTIONS, (0, 1, 2)):
            found = ask(one.some[:2], hops=hops, types=one.types, direction=direction)
            nodes, relations = one.graph.around(one.some[:2], direction, hops)
            assert (list(found.nodes), list(found.relations)) == (nodes, relations)


@clause("REL-023", profile="relationships")
def all_paths_are_found(stage: Stage) -> None:
    """Paths MUST be every way up to the length asked for that meets no record twice, each once, the shortest first,
    then by records and relations; from a record to itself there is the one of length 0."""
    ask = stage.store.relationships.paths
    for one in _small(stage):
        start, end, _ = one.some
        for direction, length in product(DIRECTIONS, (1, 3, 5)):
            found = ask(start, end, length=length, types=one.types, direction=direction, limit=100_000)
            assert [_plain(way) for way in found] == one.graph.paths(start, end, direction, length)
        assert [(way.nodes, way.length, way.weight) for way in ask(start, start, types=one.types)] == [
            ((start,), 0, 0.0)
        ]


@clause("REL-024", profile="relationships", deep=True)
def shortest_paths_are_shortest(stage: Stage) -> None:
    """A shortest path MUST have the fewest relations, of equals be the one with the least sequence of records, and
    be None where there is none or only a longer one than asked for."""
    ask = stage.store.relationships.shortest_path
    for one in _all_sizes(stage):
        for start, end, direction in product(one.some[:2], one.some[1:], DIRECTIONS):
            expected = one.graph.shortest(start, end, direction)
            assert _plain(ask(start, end, types=one.types, direction=direction)) == expected
            if expected is not None and len(expected[1]) > 1:
                hops = len(expected[1]) - 1
                assert ask(start, end, types=one.types, direction=direction, hops=hops) is None


@clause("REL-025", profile="relationships", deep=True)
def weighted_paths_weigh_least(stage: Stage) -> None:
    """A weighted shortest path MUST have the least weight, where a relation without one counts as 1, of equals the
    fewest relations, of those the least sequence of records."""
    ask = stage.store.relationships.shortest_path
    for one in _all_sizes(stage):
        for start, end, direction in product(one.some[:2], one.some[1:], DIRECTIONS):
            found = ask(start, end, types=one.types, direction=direction, weighted=True)
            assert _plain(found) == one.graph.shortest(start, end, direction, weighted=True)
            if found is not None:
                weights = [1.0 if step.weight is None else step.weight for step in found.relations]
                assert found.weight == math.fsum(weights)


@clause("REL-026", profile="relationships")
def cycles_are_found_once(stage: Stage) -> None:
    """Cycles MUST be every way along the relations up to the length asked for that ends where it began, each once
    and from its least record, the shortest first."""
    for one in _small(stage):
        for length in (1, 2, 4):
            found = stage.store.relationships.cycles(length=length, types=one.types, limit=100_000)
            assert [_plain(way) for way in found] == one.graph.cycles(length)


@clause("REL-027", profile="relationships", deep=True)
def components_are_whole(stage: Stage) -> None:
    """Components MUST be the active devices that relations join, whatever their direction, each device in one of
    them, the largest first, then by key."""
    devices = large(*_LARGE[stage.effort], kinds=["device"])
    sparse = Drawn("LARGE", devices.types, Graph(devices.graph.nodes, devices.graph.relations[::4]))
    draw(stage.store, [sparse])
    asleep = sparse.graph.nodes[::7]
    stage.store.devices.update_where(field("key").in_([node.key for node in asleep]), active=False)
    left = [node for node in sparse.graph.nodes if node not in set(asleep)]
    between = [one for one in sparse.graph.relations if {one.source, one.target}.isdisjoint(asleep)]
    found = stage.store.relationships.components(types=sparse.types)
    assert [list(nodes) for nodes in found] == Graph(left, between).components()


@clause("REL-028", profile="relationships")
def communities_hold_together(stage: Stage) -> None:
    """Communities MUST put each record that has a relation into one set, keep cliques that one relation joins
    apart, come largest first, and be the same again for the same seed."""
    if find_spec("networkx") is None:
        not_run("networkx is not installed: pip install 'iotstore[graph]'")
    cliques = [[Node("device", f"{name}{n}") for n in range(size)] for name, size in (("a", 7), ("b", 6), ("c", 5))]
    relations = [Relationship(at, "TALKS", to) for nodes in cliques for at in nodes for to in nodes if at < to]
    relations += [Relationship(cliques[at][0], "TALKS", cliques[at + 1][1], 0.5) for at in (0, 1)]
    draw(stage.store, [Drawn("cliques", ("TALKS", "TALKS"), Graph([n for nodes in cliques for n in nodes], relations))])
    ask = stage.store.relationships.communities
    for seed in range(3):
        assert [list(nodes) for nodes in ask(types="TALKS", seed=seed)] == cliques
    one = large(120, 240)
    draw(stage.store, [one])
    found = ask(types=one.types, seed=4)
    assert sorted(node for nodes in found for node in nodes) == one.graph.related()
    assert [-len(nodes) for nodes in found] == sorted(-len(nodes) for nodes in found)
    assert ask(types=one.types, seed=4) == found


@clause("REL-029", profile="relationships")
def centralities_are_computed(stage: Stage) -> None:
    """Degree, betweenness and PageRank MUST be those of the graph that is asked about, for every record with a
    relation, the most central first, then by kind and key, the first ones alone where a limit is given."""
    if find_spec("rustworkx") is None:
        not_run("rustworkx is not installed: pip install 'iotstore[graph]'")
    ask = stage.store.relationships.centrality
    for one in _small(stage):
        graph = one.graph
        for measure, expected in (
            ("degree", graph.degrees()),
            ("betweenness", graph.betweenness()),
            ("pagerank", graph.pageranks()),
        ):
            found = ask(measure, types=one.types)  # type: ignore[arg-type]  # one of three words
            assert {score.node: score.score for score in found} == pytest.approx(expected, abs=1e-6)
            assert found == sorted(found, key=lambda score: (-score.score, score.node))
            assert ask(measure, types=one.types, limit=3) == found[:3]  # type: ignore[arg-type]  # as above


@clause("REL-030", profile="relationships")
def limits_refuse_and_never_cut(stage: Stage) -> None:
    """An answer that is longer than its limit, or that takes more nodes, edges or steps than are allowed, MUST
    raise LimitExceeded with what there is too much of, the limit and what to do; at the limit it is whole."""
    hub, leaves = Node("device", "hub"), [Node("device", f"leaf{n}") for n in range(20)]
    relations = [Relationship(hub, "FEEDS", leaf) for leaf in leaves]
    relations += [Relationship(leaf, "FEEDS", hub) for leaf in leaves]
    draw(stage.store, [Drawn("star", ("FEEDS", "FEEDS"), Graph([hub, *leaves], relations))])
    ask = stage.store.relationships
    for limit in (20, 21):
        assert len(ask.neighbours(hub, limit=limit)) == 20
        assert len(ask.cycles(length=2, limit=limit)) == 20
    assert len(ask.of(hub, limit=40)) == 40
    assert len(ask.subgraph([hub], limit=20).relations) == 40
    assert len(ask.paths(hub, leaves[0], limit=2, direction="both")) == 2
    for question, what, most in (
        (lambda: ask.neighbours(hub, limit=19), "nodes", 19),
        (lambda: ask.of(hub, limit=39), "relations", 39),
        (lambda: ask.subgraph([hub], limit=19), "nodes", 19),
        (lambda: ask.paths(hub, leaves[0], limit=1), "paths", 1),
        (lambda: ask.cycles(length=2, limit=19), "cycles", 19),
        (lambda: ask.blast_radius("hub", types="FEEDS", limit=19), "nodes", 19),
        (lambda: ask.within(nodes=10).neighbours(hub), "nodes", 10),
        (lambda: ask.within(edges=30).neighbours(hub), "edges", 30),
        (lambda: ask.within(edges=30).centrality("degree", types="FEEDS"), "edges", 30),
        (lambda: ask.within(steps=5).cycles(length=2), "steps", 5),
    ):
        with pytest.raises(LimitExceeded, match=str(most)) as caught:
            question()
        assert (caught.value.what, caught.value.limit) == (what, most)
        assert caught.value.hint
        assert not caught.value.retryable
    assert len(ask.within(nodes=20, edges=40).neighbours(hub)) == 20


@clause("REL-031", profile="relationships")
def questions_about_nothing_are_refused(stage: Stage) -> None:
    """A question about a record that does not exist MUST raise NotFound, and one with a kind that is no node, a
    type, a direction or a number that makes no sense be refused by name; a record without relations has empty
    answers."""
    ask, here, ghost = stage.store.relationships, ("device", "a"), ("device", "ghost")
    stage.store.devices.add_many([Device(key="a"), Device(key="b")])
    for missing in (
        lambda: ask.neighbours(ghost),
        lambda: ask.of(ghost),
        lambda: ask.subgraph([here, ghost]),
        lambda: ask.paths(here, ghost),
        lambda: ask.shortest_path(ghost, here),
        lambda: ask.shortest_path(here, ghost, weighted=True),
        lambda: ask.blast_radius("ghost"),
    ):
        with pytest.raises(NotFound, match="ghost"):
            missing()
    for wrong, named in (
        (lambda: ask.neighbours(("setting", "a")), "node"),
        (lambda: ask.neighbours("a"), "node"),  # type: ignore[arg-type]  # that is the point
        (lambda: ask.neighbours(here, types="lower"), "types"),
        (lambda: ask.neighbours(here, types=[]), "types"),
        (lambda: ask.neighbours(here, direction="up"), "direction"),  # type: ignore[arg-type]  # as above
        (lambda: ask.neighbours(here, hops=0), "hops"),
        (lambda: ask.neighbours(here, limit=0), "limit"),
        (lambda: ask.paths(here, here, length=-1), "length"),
        (lambda: ask.centrality("beauty"), "measure"),  # type: ignore[arg-type]  # as above
    ):
        with pytest.raises(InvalidValue, match=r".") as caught:
            wrong()
        assert caught.value.field == named
    assert (ask.of(here), ask.neighbours(here, hops=9), ask.paths(here, ("device", "b"))) == ([], [], [])
    assert ask.shortest_path(here, ("device", "b")) is None
    assert (ask.cycles(), ask.centrality("degree")) == ([], [])


@clause("REL-032", profile="relationships")
def answers_follow_the_graph(stage: Stage) -> None:
    """After every change of records and relations the answers MUST be those of the graph as it is now."""
    one = large(40, 100, kinds=["device"])
    draw(stage.store, [one])
    store, nodes, relations = stage.store, list(one.graph.nodes), list(one.graph.relations)
    for turn in range(12):
        gone, cut = nodes.pop(turn % len(nodes)), relations.pop(turn)
        store.relationships.unrelate(cut.source, cut.type, cut.target)
        store.devices.delete(str(gone.key))
        relations = [each for each in relations if gone not in (each.source, each.target)]
        fresh = Relationship(nodes[turn], one.types[0], nodes[-turn], turn / 4)
        relations = [each for each in relations if each[:3] != fresh[:3]] + [fresh]
        store.relationships.relate_many([written(fresh)])
        now, start = Graph(nodes, relations), nodes[turn]
        found = store.relationships.subgraph([start], hops=3)
        assert (list(found.nodes), list(found.relations)) == now.around([start], "both", 3)
        assert [list(each) for each in store.relationships.components(types=one.types)] == now.components()
