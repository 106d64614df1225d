"""What histories are drawn from: every domain and kind, small pools in which keys collide, values over the limits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from hypothesis import strategies as st

from iotstore import Alert, Connection, Device, Group, Location, Metric, Owner, Point
from iotstore_conformance import strategies as draw
from iotstore_conformance.differential.steps import Ask, Made, Plants, Step, Version
from iotstore_conformance.filters import Test
from iotstore_conformance.kinds import Cell, Leaf, Sample
from iotstore_conformance.stage import NOON

Steps = st.SearchStrategy[Step]

# Steps of a history, its prelude not counted.
_LENGTH: Final = 30
_DEVICES: Final = st.sampled_from(["a", "b", "a", "b", "A", "ghost"])
_OWNERS: Final = st.sampled_from(["ann", "bob"])
_PLACES: Final = st.sampled_from(["house", "hall", "attic"])
_GROUPS: Final = st.sampled_from(["cams", "locks"])
_NAMES: Final = st.none() | st.sampled_from(["Front", "FRONT", "\u00e9", "\U0001f600", "%", ""])
_TIMES: Final = st.integers(-3, 50).map(lambda hours: NOON + timedelta(hours=hours, microseconds=hours % 2))
# What is added up in any order must not leave the range on the way.
_REALS: Final = st.none() | st.sampled_from([-1e300, -1.5, 0.0, 5e-324, 0.1, 0.2, 1.0, 2.0**53, 1e300])
_NTH: Final = st.integers(0, 3)
_INVALID: Final = st.sampled_from(["raise", "reject"])
_CLAIMS: Final = st.none() | st.none() | st.sampled_from(["claim-1", "claim-2"])
_BYTES: Final = st.sampled_from([0, 1, 1500, 2**53 + 1, 2**62])

_samples: Final = st.builds(
    Sample,
    key=draw.keys,
    text=draw.texts,
    title=draw.titles,
    number=draw.numbers,
    real=_REALS,
    flag=st.none() | st.booleans(),
    when=draw.times,
    tags=draw.tags,
    json=draw.json,
) | st.builds(Sample, key=draw.keys, number=st.just(2**63))
_devices: Final = st.builds(
    Device,
    key=_DEVICES,
    name=_NAMES,
    ip=st.none() | st.sampled_from(["10.0.0.9", "10.0.0.10", "2001:db8::1", "010.0.0.1"]),
    owner=st.none() | _OWNERS,
    location=st.none() | _PLACES,
    tags=draw.tags,
    last_seen=st.none() | _TIMES,
)
_flows: Final = st.builds(
    Connection,
    device=_DEVICES,
    time=_TIMES,
    destination=st.none() | st.sampled_from(["10.0.0.9", "10.0.0.10", "::1"]),
    port=st.none() | st.sampled_from([0, 443, 65_535, 65_536]),
    protocol=st.none() | st.sampled_from(["tcp", "udp"]),
    bytes_sent=_BYTES,
    bytes_received=_BYTES,
    duration=st.none() | st.just(timedelta(microseconds=1)),
)
_alerts: Final = st.builds(
    Alert,
    kind=st.sampled_from(["port scan", "offline"]),
    title=st.sampled_from(["x", "\U0001f600"]),
    severity=st.sampled_from(["info", "low", "critical"]),
    device=st.none() | _DEVICES,
    time=st.none() | _TIMES,
    score=st.none() | st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
_leaves: Final = st.builds(
    Leaf,
    code=st.none() | st.sampled_from(["x", "y"]),
    value=st.integers(0, 3),
    **{name: st.none() | st.sampled_from(["a", "b"]) for name in ("cascade", "clear", "restrict", "keep")},
)
# Most conditions pass few records or none: one in three passes most.
_conditions: Final = st.one_of(draw.conditions, draw.conditions, st.just(Test("key", ">", "A")))
_changes: Final = draw.changes().filter(lambda one: abs(one.get("real") or 0.0) < 1e305)


def _step(call: str, *args: st.SearchStrategy[Any], **options: st.SearchStrategy[Any]) -> Steps:
    return st.builds(
        lambda values, named: Step(call, *values, **named), st.tuples(*args), st.fixed_dictionaries(options)
    )  # fmt: skip


def _guards(kind: str) -> st.SearchStrategy[Version | None]:
    return st.none() | st.builds(Version, st.just(kind), draw.keys, st.booleans())


def _spans() -> dict[str, st.SearchStrategy[Any]]:
    return {"start": st.just(NOON - timedelta(days=1)), "end": _TIMES.map(lambda time: time + timedelta(hours=3))}


_estate: Final = (
    _step("owners.add", st.builds(Owner, key=_OWNERS, name=_NAMES)),
    _step("owners.delete", _OWNERS),
    _step("locations.put", st.builds(Location, key=_PLACES, parent=st.none() | _PLACES)),
    _step("locations.delete", _PLACES),
    _step("locations.devices", _PLACES, nested=st.booleans()),
    _step("devices.add", _devices),
    _step("devices.put", _devices),
    _step("devices.put_many", st.lists(_devices, max_size=4), on_invalid=_INVALID),
    _step("devices.seen", _DEVICES, time=st.none() | _TIMES),
    _step("devices.block", _DEVICES, st.booleans()),
    _step("devices.rename", _DEVICES, _NAMES),
    _step("devices.set_metadata", _DEVICES, x=draw.json),
    _step("devices.by_ip", st.sampled_from(["10.0.0.9", "2001:0db8::1", "nowhere"])),
    _step("devices.recent", st.just(timedelta(days=3))),
    _step("devices.delete", _DEVICES, telemetry=st.sampled_from(["refuse", "delete"])),
    _step("devices.list", order=st.sampled_from([["-last_seen"], ["ip"], ["name", "-key"]])),
    _step("groups.add", st.builds(Group, key=_GROUPS)),
    _step("groups.add_device", _GROUPS, _DEVICES),
    _step("groups.remove_device", _GROUPS, _DEVICES),
    _step("groups.members", _GROUPS),
)
_evidence: Final = (
    _step("connections.add", _flows),
    _step(
        "connections.add_many",
        st.lists(_flows, max_size=6),
        on_invalid=_INVALID,
        idempotency_key=_CLAIMS,
        ids=st.booleans(),
    ),
    _step("connections.mark_processed", st.lists(st.builds(Made, st.just("connection"), _NTH), max_size=3)),
    _step("connections.unprocessed", st.integers(1, 3)),
    _step("connections.bandwidth", by=st.sampled_from(["device", "destination", "protocol"]), **_spans()),
    _step("connections.timeline", width=st.sampled_from(["hour", "day"]), zone=st.just("Europe/Kyiv"), **_spans()),
    _step("connections.heatmap", weekdays=st.booleans(), zone=st.just("America/New_York"), **_spans()),
    _step("connections.top_talkers", limit=st.integers(1, 3), **_spans()),
    _step("connections.pages", order=st.sampled_from([["-time"], ["protocol", "-device"]]), limit=st.integers(1, 3)),
    _step("alerts.raise_", _alerts, once=st.booleans()),
    _step("alerts.acknowledge", st.builds(Made, st.just("alert"), _NTH), st.just("ann")),
    _step("alerts.resolve", st.builds(Made, st.just("alert"), _NTH), st.just("bob")),
    _step("alerts.reopen", st.builds(Made, st.just("alert"), _NTH)),
    _step("alerts.recent", st.just(timedelta(days=3))),
    _step("alerts.timeline", zone=st.just("Asia/Kolkata"), **_spans()),
    _step("alerts.scores", bins=st.integers(1, 5), **_spans()),
    _step("alerts.statistics", **_spans()),
    _step("alerts.suppress", _DEVICES, st.just(timedelta(hours=2))),
    _step("alerts.unsuppress", _DEVICES),
    _step("settings.set", st.sampled_from(["x", "X"]), draw.json),
    _step("settings.delete", st.sampled_from(["x", "X"])),
)
_selection: Final[dict[str, st.SearchStrategy[Any]]] = {"where": st.none() | _conditions, "order": draw.orders}
_measures: Final = st.dictionaries(
    st.sampled_from(["n", "m", "o"]),
    st.builds(
        Ask, st.sampled_from(["sum_", "mean", "min_", "max_", "count"]), st.sampled_from([("real",), ("number",)])
    )
    | st.builds(Ask, st.just("count_distinct"), st.just(("text",))),
    min_size=1,
)
_groupings: Final = st.sampled_from(
    [
        [],
        ["flag"],
        ["number"],
        ["text"],
        [Ask("every", ("when", "day"), "Europe/Kyiv")],
        [Ask("part", ("when", "hour"))],
    ]
)
_records: Final = (
    _step("suite_sample.add", _samples),
    _step("suite_sample.put", _samples),
    _step(
        "suite_sample.add_many",
        st.lists(_samples, max_size=5),
        on_invalid=_INVALID,
        on_conflict=st.sampled_from(["error", "keep"]),
        idempotency_key=_CLAIMS,
    ),
    _step("suite_sample.put_many", st.lists(_samples, max_size=5), on_invalid=_INVALID),
    st.builds(
        lambda key, guard, changes: Step("suite_sample.update", key, expected=guard, **changes),
        draw.keys,
        _guards("suite_sample"),
        _changes,
    ),
    st.builds(lambda where, changes: Step("suite_sample.update_where", where, **changes), _conditions, _changes),
    _step("suite_sample.delete", draw.keys, expected=_guards("suite_sample")),
    _step("suite_sample.delete_where", _conditions),
    _step("suite_sample.list", **_selection),
    _step("suite_sample.stream", **_selection, rows=st.integers(1, 3)),
    _step("suite_sample.pages", **_selection, limit=st.integers(1, 4)),
    _step("suite_sample.get_many", st.lists(draw.keys, max_size=4)),
    _step("suite_sample.aggregate", _measures, by=_groupings, where=_selection["where"], exact=st.booleans()),
    _step("suite_tally.put", draw.tallies),
    _step("suite_tally.put_many", st.lists(draw.tallies, max_size=4)),
    _step("suite_cell.add_many", st.lists(st.builds(Cell, room=draw.keys, number=st.integers(-2, 2)), max_size=4)),
    _step("suite_leaf.add", _leaves),
    _step("suite_leaf.add_many", st.lists(_leaves, max_size=4), on_invalid=_INVALID, ids=st.booleans()),
    _step("suite_leaf.update", st.builds(Made, st.just("suite_leaf"), _NTH), code=st.sampled_from([None, "x", "z"])),
    _step("suite_leaf.delete", st.builds(Made, st.just("suite_leaf"), _NTH)),
)
_pair: Final = (
    st.sampled_from(["a", "a", "b", "b", "ghost"]),
    st.sampled_from(["Float", "float", "count", "on", "word", "nothing"]),
)
_window: Final[dict[str, st.SearchStrategy[Any]]] = {
    "start": st.just(NOON - timedelta(minutes=1)),
    "end": st.just(NOON + timedelta(minutes=2)),
    "every": st.sampled_from(["1s", "7s", "1h"]),
}
_points: Final = (
    _step("telemetry.define", st.sampled_from([Metric(name="Float", type="float"), Metric(name="on", type="bool")])),
    _step(
        "telemetry.write",
        st.lists(draw.points, max_size=5) | st.lists(draw.good_points, max_size=8),
        on_invalid=_INVALID,
        on_conflict=st.sampled_from(["keep", "replace", "error"]),
        idempotency_key=_CLAIMS,
    ),
    _step("telemetry.delete", *_pair, st.none() | draw.moments),
    _step("telemetry.latest", *_pair),
    _step("telemetry.latest_all"),
    _step("telemetry.last", *_pair, st.integers(1, 3)),
    _step("telemetry.count"),
    _step(
        "telemetry.aggregate",
        *_pair,
        functions=st.just(["count", "sum", "mean", "stddev"]),
        fill=st.sampled_from(["none", "null"]),
        exact=st.booleans(),
        **_window,
    ),
    _step(
        "telemetry.aggregate",
        *_pair,
        functions=st.just(["count", "min", "max", "first", "last"]),
        fill=st.sampled_from(["none", "null", "previous"]),
        **_window,
    ),
)
_ends: Final = st.sampled_from(
    [
        *[("device", key) for key in ("a", "b", "a", "b", "A", "ghost")],
        ("owner", "ann"),
        ("location", "house"),
        ("device_group", "cams"),
    ]
)
_kinds_of_relations: Final = st.sampled_from(["LINK", "FEEDS"])
# Not of alerts: their numbers differ from store to store.
_types: Final = st.sampled_from(
    [["LINK", "FEEDS"], "LINK", ["OWNS", "LOCATED_IN", "MEMBER_OF", "CONNECTED_TO"], ["LINK", "OWNS", "CONNECTED_TO"]]
)
_asked: Final = {"types": _types, "direction": st.sampled_from(["out", "in", "both"])}
_graph: Final = (
    _step(
        "relationships.relate",
        _ends,
        st.sampled_from(["LINK", "FEEDS", "LINK", "FEEDS", "OWNS", "link"]),
        _ends,
        weight=st.none() | st.sampled_from([0.0, 0.5, 2.0, -1.0]),
        properties=draw.json,
    ),
    _step("relationships.relate", _ends, _kinds_of_relations, _ends),
    _step("relationships.unrelate", _ends, _kinds_of_relations, _ends),
    _step("relationships.relation", _ends, _kinds_of_relations, _ends),
    _step("relationships.of", _ends, **_asked),
    _step("relationships.neighbours", _ends, hops=st.integers(0, 3), **_asked),
    _step("relationships.subgraph", st.lists(_ends, max_size=2), hops=st.integers(0, 2), **_asked),
    _step("relationships.paths", _ends, _ends, length=st.integers(1, 4), **_asked),
    _step("relationships.shortest_path", _ends, _ends, weighted=st.booleans(), **_asked),
    _step("relationships.cycles", types=_types),
    _step("relationships.components", types=_types),
    _step("relationships.blast_radius", _DEVICES, types=_types),
    _step("relationships.devices_at", _PLACES, nested=st.booleans()),
)
_plants: Final = (
    _step(
        "suite_plant.put",
        st.builds(
            Plants,
            key=st.sampled_from(["oak", "fern", "x" * 50]),
            height=st.none() | st.just(3),
            leaves=st.integers(0, 2),
        ),
    ),
    _step("suite_plant.list", order=st.just(["-height"])),
    _step("suite_plant.delete", st.sampled_from(["oak", "fern"])),
    st.just(Step("grow")),
    st.just(Step("back up")),
)
# Equal shares for the domains: a history that has no devices has nothing to say about flows.

_DOMAINS: Final = (
    st.sampled_from([Step("commit"), Step("undo"), Step("begin")]),
    st.one_of(*_estate),
    st.one_of(*_evidence),
    st.one_of(*_graph),
    st.one_of(*_records),
    st.one_of(*_records),
    st.one_of(*_points),
)
# Not one_of: it would give each call the same share, and transactions one of a hundred. What opens stores again takes
# longer than all else: it comes once or twice in a history.
_RARELY: Final = 4
_steps: Final = st.integers(0, len(_DOMAINS) * _RARELY).flatmap(
    lambda number: _DOMAINS[number % len(_DOMAINS)] if number else st.one_of(*_plants)
)
# What most questions need to have an answer; one history in four begins with nothing.
_PRELUDE: Final = (
    Step("owners.add", Owner(key="ann")),
    Step("locations.add", Location(key="house")),
    Step("devices.add", Device(key="a", name="Front", owner="ann", location="house", last_seen=NOON)),
    Step("devices.add", Device(key="b")),
    Step("groups.add", Group(key="cams")),
    Step("relationships.relate", ("device", "a"), "LINK", ("device", "b"), weight=0.5),
    Step("connections.add", Connection(device="a", time=NOON, bytes_sent=1500)),
    Step("alerts.raise_", Alert(kind="offline", title="x", device="b", score=0.1)),
    Step("telemetry.write", [Point("a", "Float", NOON + timedelta(seconds=n), n / 10) for n in range(3)]),
    Step("telemetry.write", [Point("b", "count", NOON, 2**53 + 1), Point("b", "on", NOON, True)]),
    Step("suite_sample.add", Sample(key="a", number=1, real=0.1, when=NOON, text="a")),
    Step("suite_sample.add", Sample(key="b", number=2, real=0.2, flag=True)),
    Step("suite_leaf.add", Leaf(code="x", cascade="a")),
    Step("suite_plant.put", Plants(key="oak", height=1)),
)

#: Histories of one length: they are made smaller by steps, once they are known to be worth it.
histories: Final[st.SearchStrategy[list[Step]]] = st.tuples(
    st.sampled_from([(), _PRELUDE, _PRELUDE, _PRELUDE]), st.lists(_steps, min_size=_LENGTH, max_size=_LENGTH)
).map(lambda parts: [*parts[0], *parts[1]])
