"""Questions about a whole graph: which of its nodes hang together, and which ones matter most."""

from __future__ import annotations

import importlib
import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from iotstore._graph.bounds import Budget
from iotstore._graph.results import Measure
from iotstore._waist.graph import Edge, NodeId
from iotstore.errors import ConfigurationError, InvalidValue

MEASURES: Final[tuple[Measure, ...]] = ("degree", "betweenness", "pagerank")
# Sums of doubles depend on their order, and threads have none: one thread, so that the numbers are the same everywhere.
_NEVER_PARALLEL: Final = 2**62
# Edges that compiled code goes over while ours takes one step.
_STEPS: Final = 50


def components(nodes: Collection[NodeId], edges: Iterable[Edge]) -> list[list[NodeId]]:
    """Nodes that hang together by edges between them, whatever their direction; the largest first, then by node."""
    parents = {node: node for node in nodes}
    for edge in edges:
        if edge.source in parents and edge.target in parents:
            first, second = _root(parents, edge.source), _root(parents, edge.target)
            parents[max(first, second)] = min(first, second)
    found: dict[NodeId, list[NodeId]] = {}
    for node in sorted(parents):
        found.setdefault(_root(parents, node), []).append(node)
    return sorted(found.values(), key=_by_size)


def _root(parents: dict[NodeId, NodeId], node: NodeId) -> NodeId:
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


def _by_size(nodes: Sequence[NodeId]) -> tuple[int, NodeId]:
    return -len(nodes), nodes[0]


def communities(edges: Sequence[Edge], *, resolution: float, seed: int) -> list[list[NodeId]]:
    """Nodes that have more to do with each other than with others, by Louvain's method; the largest first."""
    if isinstance(resolution, bool) or not 0.0 < resolution < math.inf:
        raise InvalidValue(f"{resolution!r} is no finite number above 0", field="resolution")
    networkx = _library("networkx")
    nodes = _nodes(edges)
    together = _together(nodes, edges)
    if not together:
        return [[node] for node in nodes]
    # By number: the hashes of texts, and so the order of sets of them, differ from process to process.
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(nodes)))
    graph.add_weighted_edges_from(together)
    found = networkx.community.louvain_communities(graph, weight="weight", resolution=resolution, seed=seed)
    return sorted(([nodes[at] for at in sorted(one)] for one in found), key=_by_size)


def _together(nodes: Sequence[NodeId], edges: Sequence[Edge]) -> list[tuple[int, int, float]]:
    """How much two nodes have to do with each other: the weights of all edges between them, in order."""
    place = {node: at for at, node in enumerate(nodes)}
    found: dict[tuple[int, int], float] = {}
    for edge in edges:
        first, second = place[edge.source], place[edge.target]
        pair = (first, second) if first <= second else (second, first)
        found[pair] = found.get(pair, 0.0) + (1.0 if edge.weight is None else edge.weight)
    return [(*pair, found[pair]) for pair in sorted(found) if found[pair]]


def centrality(edges: Sequence[Edge], measure: Measure, budget: Budget) -> list[tuple[NodeId, float]]:
    """How central each node is that has an edge, the most central first, then by node."""
    if measure not in MEASURES:
        raise InvalidValue(f"{measure!r} is none of {', '.join(MEASURES)}", field="measure")
    nodes = _nodes(edges)
    if measure == "degree":
        scores = _degrees(nodes, edges)
    elif measure == "betweenness":
        budget.step(len(nodes) * len(edges) // _STEPS)
        scores = _betweenness(nodes, edges)
    else:
        scores = _pageranks(nodes, edges)
    return sorted(zip(nodes, scores, strict=True), key=_by_score)


def _betweenness(nodes: Sequence[NodeId], edges: Sequence[Edge]) -> list[float]:
    """On what part of the shortest ways between two others each node lies, whatever the direction of edges."""
    rustworkx = _library("rustworkx")
    graph = _graph_of(rustworkx.PyGraph(multigraph=False), nodes, edges)
    found = rustworkx.graph_betweenness_centrality(graph, parallel_threshold=_NEVER_PARALLEL)
    return [found[at] for at in range(len(nodes))]


def _pageranks(nodes: Sequence[NodeId], edges: Sequence[Edge]) -> list[float]:
    """How often one who follows edges by weight, and now and then begins anew, comes by each node."""
    rustworkx = _library("rustworkx")
    if not nodes:
        return []
    # An edge that weighs nothing is never followed; the library would divide by it.
    followed = [edge for edge in edges if edge.weight != 0.0]
    graph = _graph_of(rustworkx.PyDiGraph(multigraph=True), nodes, followed)
    found = rustworkx.pagerank(graph, weight_fn=float, tol=1e-10, max_iter=1000)
    return [found[at] for at in range(len(nodes))]


def _by_score(scored: tuple[NodeId, float]) -> tuple[float, NodeId]:
    return -scored[1], scored[0]


def _nodes(edges: Iterable[Edge]) -> list[NodeId]:
    return sorted({node for edge in edges for node in (edge.source, edge.target)})


def _degrees(nodes: Sequence[NodeId], edges: Sequence[Edge]) -> list[float]:
    """With how many others each node has to do, as a part of all others."""
    near: dict[NodeId, set[NodeId]] = {node: set() for node in nodes}
    for edge in edges:
        near[edge.source].add(edge.target)
        near[edge.target].add(edge.source)
    others = max(len(nodes) - 1, 1)
    return [len(near[node] - {node}) / others for node in nodes]


def _graph_of(graph: Any, nodes: Sequence[NodeId], edges: Sequence[Edge]) -> Any:
    graph.add_nodes_from(range(len(nodes)))
    place = {node: at for at, node in enumerate(nodes)}
    graph.add_edges_from(
        [(place[edge.source], place[edge.target], 1.0 if edge.weight is None else edge.weight) for edge in edges]
    )
    return graph


def _library(name: str) -> Any:
    """A graph library, or the error that tells how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigurationError(
            f"this question needs {name}, which can't be imported", hint="run: pip install 'iotstore[graph]'"
        ) from error
