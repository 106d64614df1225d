"""The reference model of the graph agrees with networkx and rustworkx, which nobody here has written."""

import networkx as nx
import pytest
import rustworkx

from iotstore import Node, Relationship
from iotstore_conformance.graphs import DIRECTIONS, large, shapes
from iotstore_conformance.model_graph import Graph
from iotstore_conformance.seeding import seeded


def drawn():
    graphs = []
    for seed in range(4):
        with seeded(seed):
            graphs += [*shapes(), large(40, 90)]
    return graphs


DRAWN = drawn()
IDS = [f"{one.name}-{n // 10}" for n, one in enumerate(DRAWN)]


def as_networkx(graph, direction):
    made = nx.MultiDiGraph()
    made.add_nodes_from(graph.nodes)
    for one in graph.relations:
        weight = 1.0 if one.weight is None else one.weight
        if direction != "in":
            made.add_edge(one.source, one.target, key=(one.type, "along"), weight=weight, relation=one)
        if direction != "out":
            made.add_edge(one.target, one.source, key=(one.type, "against"), weight=weight, relation=one)
    return made


def test_every_shape_has_nodes_of_several_kinds_and_some_relations_twice():
    for one in DRAWN:
        assert len(set(one.graph.nodes)) == len(one.graph.nodes)
        assert {relation.type for relation in one.graph.relations} <= set(one.types)
    assert {node.kind for node in DRAWN[0].graph.nodes} == {"device", "owner", "location"}


@pytest.mark.parametrize("one", DRAWN, ids=IDS)
def test_hops_paths_and_costs_are_those_of_networkx(one):
    for direction in DIRECTIONS:
        other = as_networkx(one.graph, direction)
        for start in one.graph.nodes[:4]:
            assert one.graph.hops([start], direction, 3) == dict(
                nx.single_source_shortest_path_length(other, start, cutoff=3)
            )
            costs = nx.single_source_dijkstra_path_length(other, start)
            for end in one.graph.nodes[-4:]:
                light = one.graph.shortest(start, end, direction, weighted=True)
                assert (light is None) == (end not in costs)
                if light is not None:
                    assert sum(1.0 if step.weight is None else step.weight for step in light[1]) == costs[end]
                short = one.graph.shortest(start, end, direction)
                if short is not None:
                    assert len(short[1]) == nx.shortest_path_length(other, start, end)


@pytest.mark.parametrize("one", DRAWN, ids=IDS)
def test_paths_are_those_of_networkx_and_the_first_is_the_shortest(one):
    for direction in DIRECTIONS:
        other = as_networkx(one.graph, direction)
        start, end = one.graph.nodes[0], one.graph.nodes[-1]
        paths = one.graph.paths(start, end, direction, 4)
        assert len(set(paths)) == len(paths)
        ways = [
            tuple(other.edges[edge]["relation"] for edge in way)
            for way in nx.all_simple_edge_paths(other, start, end, cutoff=4)
        ]
        assert sorted(over for _, over in paths) == sorted(ways)
        if paths:
            assert one.graph.shortest(start, end, direction) == paths[0]


@pytest.mark.parametrize("one", DRAWN, ids=IDS)
def test_components_cycles_and_centralities_are_those_of_networkx(one):
    graph, along = one.graph, as_networkx(one.graph, "out")
    assert sorted(map(set, graph.components()), key=min) == sorted(nx.weakly_connected_components(along), key=min)
    if len(graph.nodes) <= 14:
        plain = nx.DiGraph(along)
        # networkx knows a cycle by its nodes, however many relations lead from one to the next.
        assert {nodes[:-1] for nodes, _ in graph.cycles(5)} == {
            tuple(cycle[cycle.index(min(cycle)) :] + cycle[: cycle.index(min(cycle))])
            for cycle in nx.simple_cycles(plain, length_bound=5)
        }
    related = nx.Graph((r.source, r.target) for r in graph.relations if r.source != r.target)
    related.add_nodes_from(graph.related())
    assert graph.degrees() == pytest.approx(nx.degree_centrality(related))
    assert graph.betweenness() == pytest.approx(nx.betweenness_centrality(related))
    nodes = graph.related()
    other = rustworkx.PyDiGraph()
    other.add_nodes_from(nodes)
    other.add_edges_from(
        [
            (nodes.index(r.source), nodes.index(r.target), 1.0 if r.weight is None else r.weight)
            for r in graph.relations
            if r.weight != 0
        ]
    )
    ranks = rustworkx.pagerank(other, weight_fn=float, tol=1e-12, max_iter=1000)
    assert graph.pageranks() == pytest.approx({node: ranks[at] for at, node in enumerate(nodes)}, abs=1e-7)


def test_of_ways_that_cost_the_same_the_one_with_the_least_nodes_is_taken():
    a, b, c, d = (Node("device", key) for key in "abcd")
    links = [Relationship(*ends) for ends in ((a, "X", b, 1.0), (a, "X", c, 0.5), (b, "X", d, 1.0), (c, "X", d, 1.5))]
    graph = Graph([a, b, c, d], links)
    assert graph.shortest(a, d, "out") == ((a, b, d), (links[0], links[2]))
    assert graph.shortest(a, d, "out", weighted=True) == ((a, b, d), (links[0], links[2]))
    assert graph.shortest(d, a, "out") is None
    assert graph.shortest(a, a, "out") == ((a,), ())
