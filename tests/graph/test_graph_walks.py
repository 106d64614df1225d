"""Walks give what a graph library gives on the same edges, and where it has a choice, the least answer."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotstore import LimitExceeded
from iotstore._graph import paths, walks, whole
from iotstore._graph.bounds import Bounds, Budget
from iotstore._graph.edges import strongest
from iotstore._graph.results import Direction
from iotstore._graph.walks import Ground
from iotstore._waist.graph import Edge, NodeId

TYPES = ("CONNECTED_TO", "FEEDS")


class InMemory:
    """Edges that lie in a list."""

    engine: Any = None

    def __init__(self, edges: Iterable[Edge]) -> None:
        self.edges = list(edges)

    def expand(
        self, nodes: Sequence[NodeId], types: Sequence[str] | None, direction: Direction, budget: Budget
    ) -> list[Edge]:
        found = [
            edge
            for edge in self.edges
            if (types is None or edge.type in types)
            and ((direction != "in" and edge.source in nodes) or (direction != "out" and edge.target in nodes))
        ]
        budget.look_at_edges(len(found))
        return found

    def reach(self, *_: object) -> None:
        return None

    def stream(self, types: Sequence[str] | None) -> Iterator[list[Edge]]:
        yield [edge for edge in self.edges if types is None or edge.type in types]


def node(number: int) -> NodeId:
    return ("device", f"d{number}")


def ground(some: Iterable[Edge], direction: Direction = "both", **bounds: int) -> Ground:
    return Ground(InMemory(some), None, direction, Budget(Bounds(**bounds)))


def library(edges: Iterable[Edge], direction: Direction) -> Any:
    """The same graph for the library; nodes 0 to 7 are always there, and every edge has its type as its key."""
    made = nx.MultiDiGraph()
    made.add_nodes_from(node(number) for number in range(8))
    for edge in strongest(edges):
        weight = 1.0 if edge.weight is None else edge.weight
        if direction != "in":
            made.add_edge(edge.source, edge.target, key=edge, weight=weight)
        if direction != "out":
            made.add_edge(edge.target, edge.source, key=edge, weight=weight)
    return made


numbers = st.integers(0, 7)
weights = st.none() | st.sampled_from([0.0, 0.25, 1.0, 2.5])
edge = st.builds(
    lambda a, kind, b, weight: Edge(node(a), kind, node(b), weight), numbers, st.sampled_from(TYPES), numbers, weights
)
graphs = st.lists(edge, max_size=18)
directions = st.sampled_from(["out", "in", "both"])


@given(graphs, directions, st.integers(1, 5))
def test_neighbours_are_those_of_a_breadth_first_search(edges, direction, hops):
    found = walks.reached(ground(edges, direction), [node(0)], hops=hops, limit=100)

    lengths = nx.single_source_shortest_path_length(library(edges, direction), node(0), cutoff=hops)
    assert found == sorted((far, one) for one, far in lengths.items() if far)


@given(graphs, directions, st.integers(1, 7))
def test_the_shortest_path_is_the_least_of_all_shortest_ones(edges, direction, hops):
    found = walks.shortest(ground(edges, direction), node(0), node(1), hops=hops)

    known = library(edges, direction)
    if not nx.has_path(known, node(0), node(1)) or nx.shortest_path_length(known, node(0), node(1)) > hops:
        assert found is None
    else:
        least = min(nx.all_shortest_paths(known, node(0), node(1)))
        assert found is not None
        assert found[0] == tuple(least)
        for (at, to), over in zip(itertools.pairwise(least), found[1], strict=True):
            assert over == min(known[at][to], key=walks.by_ends)


@given(graphs, directions, st.integers(1, 6))
def test_all_paths_are_all_simple_paths_in_order(edges, direction, length):
    found = paths.all_paths(ground(edges, direction), node(0), node(1), length=length, limit=100_000)

    known = nx.all_simple_edge_paths(library(edges, direction), node(0), node(1), cutoff=length)
    expected = [((node(0), *(to for _, to, _ in way)), tuple(key for *_, key in way)) for way in known]
    assert sorted(found) == sorted(expected)
    assert [(len(over), nodes) for nodes, over in found] == sorted((len(over), nodes) for nodes, over in found)


@given(graphs, directions)
def test_the_lightest_path_weighs_least_then_is_shortest_then_least(edges, direction):
    found = paths.lightest(ground(edges, direction), node(0), node(1))

    known = nx.all_simple_edge_paths(library(edges, direction), node(0), node(1))
    every = [((node(0), *(to for _, to, _ in way)), [key for *_, key in way]) for way in known]
    if not every:
        assert found is None
    else:
        # The weights are such that every sum is exact.
        assert found is not None
        weighed = min(
            (math.fsum(1.0 if one.weight is None else one.weight for one in over), len(over), nodes)
            for nodes, over in every
        )
        over = found[1]
        assert (math.fsum(1.0 if one.weight is None else one.weight for one in over), len(over), found[0]) == weighed


@given(graphs, st.integers(1, 6))
def test_cycles_are_those_that_the_library_finds(edges, length):
    found = paths.all_cycles(ground(edges, "out"), length=length, limit=100_000)

    simple = nx.DiGraph(library(edges, "out"))
    expected = {
        tuple(cycle[cycle.index(min(cycle)) :] + cycle[: cycle.index(min(cycle))])
        for cycle in nx.simple_cycles(simple, length_bound=length)
    }
    assert {nodes[:-1] for nodes, _ in found} == expected
    parallel = library(edges, "out")
    for nodes in expected:
        ways = math.prod(parallel.number_of_edges(at, to) for at, to in itertools.pairwise((*nodes, nodes[0])))
        assert sum(1 for way, _ in found if way[:-1] == nodes) == ways
    assert [(len(over), nodes) for nodes, over in found] == sorted((len(over), nodes) for nodes, over in found)


@given(graphs)
def test_components_are_those_that_the_library_finds(edges):
    nodes = [node(number) for number in range(6)]
    found = whole.components(nodes, edges)

    known = nx.Graph(library(edges, "both")).subgraph(nodes)
    assert sorted(found) == sorted(sorted(one) for one in nx.connected_components(known))
    assert found == sorted(found, key=lambda one: (-len(one), one))


@given(graphs, directions, st.integers(0, 3))
def test_a_subgraph_has_every_edge_between_its_nodes(edges, direction, hops):
    nodes, between = walks.around(ground(edges, direction), [node(0), node(1)], hops=hops, limit=100)

    known = library(edges, direction)
    near = {
        one for start in (node(0), node(1)) for one in nx.single_source_shortest_path_length(known, start, cutoff=hops)
    }
    assert nodes == sorted(near)
    expected = [one for one in strongest(edges) if one.source in near and one.target in near]
    assert between == sorted(expected, key=walks.by_ends)


@given(graphs)
def test_degree_is_the_part_of_all_others_that_a_node_touches(edges):
    found = dict(whole.centrality(strongest(edges), "degree", Budget(Bounds())))

    known = nx.Graph(library(edges, "both"))
    known.remove_edges_from(list(nx.selfloop_edges(known)))
    touched = {one for edge in edges for one in (edge.source, edge.target)}
    expected = {one: known.degree(one) / max(len(touched) - 1, 1) for one in touched}
    assert found == expected


def pageranks(known):
    """By the definition: 0.85 of a rank goes on along the edges by weight, or to all where there are none."""
    ranks = dict.fromkeys(known, 1 / len(known))
    out = {one: sum(weight for *_, weight in known.out_edges(one, data="weight")) for one in known}
    for _ in range(300):
        lost = sum(ranks[one] for one in known if not out[one])
        new = dict.fromkeys(known, (0.15 + 0.85 * lost) / len(known))
        for at, to, weight in known.edges(data="weight"):
            if weight:
                new[to] += 0.85 * ranks[at] * weight / out[at]
        ranks = new
    return ranks


@given(graphs)
def test_betweenness_is_that_of_the_library_and_pagerank_by_its_definition(edges):
    once = sorted(strongest(edges), key=walks.by_ends)
    betweenness = dict(whole.centrality(once, "betweenness", Budget(Bounds())))
    pagerank = dict(whole.centrality(once, "pagerank", Budget(Bounds())))

    known = library(once, "out")
    known.remove_nodes_from([one for one in list(known) if not known.degree(one)])
    assert betweenness == pytest.approx(nx.betweenness_centrality(nx.Graph(known)))
    assert pagerank == (pytest.approx(pageranks(known), abs=1e-8) if once else {})


@given(graphs, st.randoms(use_true_random=False))
def test_answers_do_not_depend_on_the_order_in_which_edges_come(edges, random):
    shuffled = list(edges)
    random.shuffle(shuffled)
    for ask in (
        lambda some: walks.shortest(ground(some), node(0), node(1), hops=9),
        lambda some: [way[0] for way in paths.all_paths(ground(some), node(0), node(1), length=4, limit=100_000)],
        lambda some: whole.communities(ground(some).whole(), resolution=1.0, seed=3),
        lambda some: whole.centrality(ground(some).whole(), "pagerank", Budget(Bounds())),
    ):
        assert ask(edges) == ask(shuffled)


def chain(length):
    return [Edge(node(at), "FEEDS", node(at + 1), None) for at in range(length)]


def clique(size):
    return [Edge(node(a), "FEEDS", node(b), None) for a in range(size) for b in range(size) if a != b]


def test_a_walk_along_a_chain_of_thousands_needs_no_recursion():
    found = walks.shortest(ground(chain(3000), "out"), node(0), node(3000), hops=5000)
    ways = paths.all_paths(ground(chain(300), "out"), node(0), node(300), length=300, limit=10)

    assert found is not None
    assert len(found[1]) == 3000
    assert len(ways) == 1


def test_a_clique_is_gone_through_once_however_many_hops_are_asked_for():
    found = walks.reached(ground(clique(30), "out", edges=30 * 29), [node(0)], hops=100, limit=100)

    assert len(found) == 29


@pytest.mark.parametrize(
    ("bounds", "what"), [({"edges": 100}, "edges"), ({"nodes": 10}, "nodes"), ({"steps": 1000}, "steps")]
)
def test_a_question_that_leaves_its_bounds_is_refused(bounds, what):
    with pytest.raises(LimitExceeded, match=f"more than {bounds[what]} {what}") as caught:
        paths.all_paths(ground(clique(20), **bounds), node(0), node(1), length=12, limit=10**9)

    assert caught.value.what == what
    assert caught.value.limit == bounds[what]


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda where: paths.all_paths(where, node(0), node(1), length=4, limit=5), "paths"),
        (lambda where: paths.all_cycles(where, length=3, limit=5), "cycles"),
        (lambda where: walks.reached(where, [node(0)], hops=2, limit=5), "nodes"),
        (lambda where: walks.around(where, [node(0)], hops=2, limit=5), "nodes"),
    ],
)
def test_an_answer_longer_than_wanted_is_refused_and_never_cut(ask, what):
    with pytest.raises(LimitExceeded, match=f"the answer has more than 5 {what}; ask for less, or raise limit"):
        ask(ground(clique(12), "out"))


def test_of_parallel_edges_that_several_records_hold_the_least_weight_counts_and_any_beats_none():
    one = [Edge(node(0), "FEEDS", node(1), weight) for weight in (None, 3.0, 2.0, None)]

    assert strongest(one) == [Edge(node(0), "FEEDS", node(1), 2.0)]
