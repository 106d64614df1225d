"""Mutants of the graph: relations that stay behind, questions that see too little or too much, orders that vary."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any, Final

from iotstore import BatchRejected, Lagging, LimitExceeded, Neighbour, NotFound, Receipt, Relationship, UnknownReference
from iotstore_conformance.mutants.breaking import Breaking
from iotstore_conformance.mutants.registry import mutant
from iotstore_conformance.mutants.shapes import answers, forced, swallowed

_ENOUGH: Final = 1_000_000
_OURS: Final = {"device", "owner", "location", "device_group", "alert", "threat_pattern"}


def _ends(one: Relationship) -> Any:
    return one.source, one.type, one.target


@mutant("the-first-owner-stays", kills=("REL-001",), sentence="Who owned a device first owns it as long as both exist.")
def _first(breaking: Breaking) -> None:
    known: dict[Any, Relationship] = {}

    @breaking.wrong("relationships", "of")
    def _of(_self: Any, right: Any, node: Any, **options: Any) -> Any:
        return [known.setdefault(one.target, one) if one.type == "OWNS" else one for one in right(node, **options)]


@mutant(
    "relations-outlive-their-records",
    kills=("REL-002", "REL-006"),
    sentence="A relation that was seen at a record is seen there as long as that record exists.",
)
def _phantom(breaking: Breaking) -> None:
    seen: dict[Any, dict[Any, Relationship]] = {}

    @breaking.wrong("relationships", "of")
    def _of(_self: Any, right: Any, node: Any, **options: Any) -> Any:
        found = right(node, **options)
        known = seen.setdefault((tuple(node), str(options)), {})
        known.update((_ends(one), one) for one in found)
        return sorted(known.values(), key=_ends)


@mutant(
    "relations-are-left-behind",
    kills=("REL-006",),
    sentence="Relations that were written wait for the record that they name to come back.",
)
def _left(breaking: Breaking) -> None:
    going: list[str] = []

    @breaking.wrong("collection", "delete")
    def _delete(self: Any, right: Any, *args: Any, **options: Any) -> Any:
        going.append(self.kind.name)
        try:
            return right(*args, **options)
        finally:
            going.pop()

    @breaking.wrong("writer", "delete")
    def _rows(_self: Any, right: Any, layout: Any, where: Any) -> Any:
        return [] if layout.name == "relation" and going and going[-1] != "relation" else right(layout, where)


@mutant("weights-have-six-digits", kills=("REL-003",), sentence="The weight of a relation is rounded to six digits.")
def _rounded(breaking: Breaking) -> None:
    @breaking.wrong("relationships", "relate")
    def _relate(_self: Any, right: Any, *args: Any, weight: Any = None, **options: Any) -> Any:
        known = isinstance(weight, float) and weight < 1e300
        return right(*args, weight=float(f"{weight:.6f}") if known else weight, **options)


@mutant("relations-to-nothing-vanish", kills=("REL-004",), sentence="A relation to an unknown record does nothing.")
def _vanish(breaking: Breaking) -> None:
    swallowed(breaking, "relationships", "relate", UnknownReference)


@mutant("one-bad-relation-costs-the-batch", kills=("REL-005",), sentence="One bad relation costs its whole batch.")
def _costly(breaking: Breaking) -> None:
    @breaking.wrong("relationships", "relate_many")
    def _relate_many(_self: Any, right: Any, relations: Any, **options: Any) -> Any:
        try:
            return right(relations, **{**options, "on_invalid": "raise"})
        except BatchRejected as error:
            if options.get("on_invalid") != "reject":
                raise
            return Receipt(0, 0, tuple(error.rejected))


@mutant(
    "a-device-talks-to-one-other", kills=("REL-007",), sentence="Of the devices that one talks to the first counts."
)
def _one_peer(breaking: Breaking) -> None:
    def first(found: list[Relationship]) -> list[Relationship]:
        talks = [one for one in found if one.type == "CONNECTED_TO"]
        return [one for one in found if one not in talks[1:]]

    answers(breaking, "relationships", "of", first)


@mutant(
    "weights-survive-a-rollback", kills=("REL-008",), sentence="A weight that was written stays, rolled back or not."
)
def _weights(breaking: Breaking) -> None:
    written: dict[Any, Any] = {}

    @breaking.wrong("relationships", "relate")
    def _relate(_self: Any, right: Any, source: Any, type_: Any, target: Any, **options: Any) -> Any:
        written[tuple(source), type_, tuple(target)] = options.get("weight")
        return right(source, type_, target, **options)

    answers(
        breaking,
        "relationships",
        "of",
        lambda found: [one._replace(weight=written.get(_ends(one), one.weight)) for one in found],
    )


@mutant(
    "own-kinds-lead-nowhere", kills=("REL-009",), sentence="No way leads over the records of an application's kind."
)
def _own(breaking: Breaking) -> None:
    answers(
        breaking,
        "relationships",
        "shortest_path",
        lambda way: way if way and {node.kind for node in way.nodes} <= _OURS else None,
    )


@mutant("blocked-devices-pass-all-on", kills=("REL-010",), sentence="The blast radius goes on over blocked devices.")
def _passed_on(breaking: Breaking) -> None:
    @breaking.wrong("relationships", "blast_radius")
    def _radius(self: Any, right: Any, device: Any, **options: Any) -> Any:
        found = right(device, **options)
        asked = {"hops": 3, "types": "CONNECTED_TO", **options}
        return replace(found, devices=tuple(Neighbour(*one) for one in self.neighbours(("device", device), **asked)))


@mutant("locations-are-flat", kills=("REL-011",), sentence="A location holds nothing of the locations inside it.")
def _flat(breaking: Breaking) -> None:
    forced(breaking, "relationships", "devices_at", nested=False)


@mutant("patterns-know-no-time", kills=("REL-012",), sentence="Alerts of all times are counted by pattern.")
def _timeless(breaking: Breaking) -> None:
    @breaking.wrong("relationships", "alerts_by_pattern")
    def _counted(_self: Any, right: Any, *_args: Any, **_options: Any) -> Any:
        return right()


@mutant("relations-lead-both-ways", kills=("REL-020",), sentence="Neighbours are looked for in both directions.")
def _both(breaking: Breaking) -> None:
    forced(breaking, "relationships", "neighbours", direction="both")


@mutant("relations-come-by-type", kills=("REL-021",), sentence="The relations of a record are ordered by type first.")
def _by_type(breaking: Breaking) -> None:
    answers(
        breaking, "relationships", "of", lambda found: sorted(found, key=lambda one: (one.type, one.source, one.target))
    )


@mutant(
    "subgraphs-lack-their-rim", kills=("REL-022",), sentence="Relations between the outermost records are left out."
)
def _rim(breaking: Breaking) -> None:
    @breaking.wrong("relationships", "subgraph")
    def _subgraph(_self: Any, right: Any, nodes: Any, *, hops: int = 1, **options: Any) -> Any:
        found = right(nodes, hops=hops, **options)
        inner = set(right(nodes, hops=hops - 1, **options).nodes) if hops else set(found.nodes)
        near = tuple(one for one in found.relations if inner & {one.source, one.target})
        return replace(found, relations=near)


@mutant("longer-paths-are-no-paths", kills=("REL-023",), sentence="Of all paths those that are shortest are given.")
def _shortest_only(breaking: Breaking) -> None:
    answers(breaking, "relationships", "paths", lambda ways: [way for way in ways if way.length == ways[0].length])


@mutant(
    "ties-go-to-the-last", kills=("REL-024",), sentence="Of equally short paths the one with the greatest nodes wins."
)
def _last(breaking: Breaking) -> None:
    @breaking.wrong("relationships", "shortest_path")
    def _path(self: Any, right: Any, start: Any, end: Any, *, weighted: bool = False, **options: Any) -> Any:
        found = right(start, end, weighted=weighted, **options)
        if weighted or found is None or not 0 < found.length < 5:
            return found
        options.pop("hops", None)
        equals = self.paths(start, end, length=found.length, limit=_ENOUGH, **options)
        return equals[-1]


@mutant("weights-count-as-one", kills=("REL-025",), sentence="A weighted path is the one with the fewest relations.")
def _unweighted(breaking: Breaking) -> None:
    forced(breaking, "relationships", "shortest_path", weighted=False)


@mutant("cycles-begin-anywhere", kills=("REL-026",), sentence="A cycle begins at its greatest record.")
def _rotated(breaking: Breaking) -> None:
    def turned(way: Any) -> Any:
        at = way.nodes.index(max(way.nodes))
        ring = way.nodes[:-1]
        nodes = (*ring[at:], *ring[:at])
        return replace(way, nodes=(*nodes, nodes[0]), relations=(*way.relations[at:], *way.relations[:at]))

    answers(breaking, "relationships", "cycles", lambda ways: [turned(way) for way in ways])


@mutant("lonely-devices-do-not-count", kills=("REL-027",), sentence="A device without relations is in no component.")
def _lonely(breaking: Breaking) -> None:
    answers(breaking, "relationships", "components", lambda sets: [nodes for nodes in sets if len(nodes) > 1])


@mutant("communities-vary", kills=("REL-028",), sentence="Communities come in another order every time.")
def _vary(breaking: Breaking) -> None:
    turn = count(1)

    def turned(sets: list[Any]) -> list[Any]:
        at = next(turn) % max(len(sets), 1)
        return sets[at:] + sets[:at]

    answers(breaking, "relationships", "communities", turned)


@mutant("equally-central-is-any-order", kills=("REL-029",), sentence="Equally central records come greatest first.")
def _backwards(breaking: Breaking) -> None:
    def backwards(found: list[Any]) -> list[Any]:
        turned = found[::-1]
        return sorted(turned, key=lambda one: -one.score)  # equals stay turned round

    answers(breaking, "relationships", "centrality", backwards)


@mutant("limits-cut-answers", kills=("REL-030",), sentence="An answer that is longer than its limit is cut there.")
def _cut(breaking: Breaking) -> None:
    @breaking.wrong("relationships", "neighbours", "of", "paths", "cycles")
    def _ask(_self: Any, right: Any, *args: Any, limit: int = 1000, **options: Any) -> Any:
        try:
            return right(*args, limit=limit, **options)
        except LimitExceeded:
            return right(*args, limit=_ENOUGH, **options)[:limit]


@mutant("unknown-records-have-no-relations", kills=("REL-031",), sentence="An unknown record has no neighbours.")
def _unknown(breaking: Breaking) -> None:
    swallowed(breaking, "relationships", "neighbours of paths", NotFound, [])


@mutant(
    "answers-about-the-graph-are-kept", kills=("REL-032",), sentence="A question asked before gets the same answer."
)
def _kept(breaking: Breaking) -> None:
    known: dict[str, Any] = {}

    @breaking.wrong("relationships", "subgraph", "components")
    def _ask(_self: Any, right: Any, *args: Any, **options: Any) -> Any:
        return known.setdefault(f"{right.__name__} {args} {options}", right(*args, **options))


@mutant(
    "taken-back-is-taken-back-both-ways",
    kills=("REL-003", "MOD-003"),
    sentence="Who takes a relation back takes the one that leads the other way along.",
)
def _both_ways(breaking: Breaking) -> None:
    @breaking.wrong("relationships", "unrelate")
    def _unrelate(self: Any, right: Any, source: Any, type_: Any, target: Any) -> None:
        right(source, type_, target)
        if self.relation(target, type_, source) is not None:
            right(target, type_, source)


@mutant(
    "loops-are-met-twice", kills=("MOD-003",), sentence="A relation of a record to itself is given once for each end."
)
def _loops(breaking: Breaking) -> None:
    def twice(found: list[Relationship]) -> list[Relationship]:
        return sorted([*found, *(one for one in found if one.source == one.target)], key=_ends)

    answers(breaking, "relationships", "of", twice)


@mutant(
    "projections-answer-as-they-first-did",
    kills=("REL-040", "REL-041"),
    sentence="A projection goes on giving the answers that it gave first, whatever it has caught up with.",
)
def _projected(breaking: Breaking) -> None:
    known: dict[str, Any] = {}

    @breaking.wrong("relationships", "of", "neighbours", "components")
    def _ask(_self: Any, right: Any, *args: Any, **options: Any) -> Any:
        if options.get("consistency") != "projected":
            return right(*args, **options)
        return known.setdefault(f"{right.__name__} {args} {options}", right(*args, **options))


@mutant("nobody-waits-for-projections", kills=("REL-042",), sentence="Who waits for his writes waits for nothing.")
def _no_wait(breaking: Breaking) -> None:
    swallowed(breaking, "projection", "wait", Lagging)
