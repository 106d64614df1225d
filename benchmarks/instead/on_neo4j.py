"""On Neo4j: the library, the driver by hand (UNWIND), and neomodel; and the projector beside the same UNWIND."""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec
from sidebyside import workload
from sidebyside.measure import clock

import iotstore
from instead.contender import AlertRead
from instead.turns import Found, ask, check_answers, check_counts, in_batches, rotated
from instead.walking import Edges, Walker, WithRelations, edges, way_length
from iotstore import Alert, Connection, Device, ManualClock, field

#: What is done on Neo4j alone, in the words of the page.
TITLES: Final = {
    "flows": "Flows from objects, in batches",
    "flow-one": "A flow in a transaction of its own",
    "projector": "Changed devices, brought into the projection",
}
CONTENDERS: Final = (
    ("instead.on_neo4j", "WithStore"),
    ("instead.with_neo4j", "WithNeo4j"),
    ("instead.with_neomodel", "WithNeomodel"),
)
_SINGLES: Final = 10
_PROJECTED: Final = 1_000


class OnNeo4j(Walker):
    """One way to keep devices, alerts, flows and relations in Neo4j."""

    needs: ClassVar[tuple[str, ...]]

    @abstractmethod
    def keep_alerts(self, alerts: Sequence[Alert]) -> None:
        """Keep alerts."""

    @abstractmethod
    def add_flows(self, flows: Sequence[Connection]) -> None:
        """Keep flows of devices that exist, in one transaction."""

    @abstractmethod
    def device(self, key: str) -> str | None:
        """The name of the device that its key finds, read as a whole object."""

    @abstractmethod
    def devices(self, after: str, count: int) -> list[str]:
        """The keys of the next devices after a key, in order of key, read as whole objects."""

    @abstractmethod
    def alerts(self, before: datetime, count: int) -> list[AlertRead]:
        """The newest alerts before a time, read as a whole, the newest first."""

    @abstractmethod
    def traffic(self, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
        """Flows and bytes both ways by hour, in order of time."""

    @abstractmethod
    def flows(self) -> int:
        """How many flows there are."""


class WithStore(WithRelations, OnNeo4j):
    """The store itself."""

    needs: ClassVar[tuple[str, ...]] = ("iotstore",)

    def __init__(self, url: str) -> None:
        super().__init__(url, ManualClock(workload.NOW))

    def keep_alerts(self, alerts: Sequence[Alert]) -> None:
        """Records."""
        self.store.alerts.add_many(alerts)

    def add_flows(self, flows: Sequence[Connection]) -> None:
        """Records."""
        self.store.connections.add_many(flows)

    def device(self, key: str) -> str | None:
        """One record."""
        return self.store.devices.get(key).name

    def devices(self, after: str, count: int) -> list[str]:
        """A page in the midst of a list."""
        return [one.key for one in self.store.devices.list(field("key") > after, order=["key"], limit=count)]

    def alerts(self, before: datetime, count: int) -> list[AlertRead]:
        """A page in the midst of a list."""
        found = self.store.alerts.list(field("time") < before, order=["-time"], limit=count)
        return [AlertRead(one.title, one.time or before, one.acknowledged_at, one.metadata) for one in found]

    def traffic(self, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
        """One call."""
        found = self.store.connections.timeline(start, end, width="hour")
        return [(one.start, one.connections, one.bytes_sent, one.bytes_received) for one in found]

    def flows(self) -> int:
        """All records."""
        return self.store.connections.count()


#: The questions, under the names that they have on the other engines.
_QUESTIONS: Final[dict[str, Callable[[OnNeo4j], object]]] = {
    "device": lambda one: one.device(workload.device_keys(1)[0]),
    "devices": lambda one: one.devices("device-0123", 50),
    "alerts": lambda one: one.alerts(workload.NOW - timedelta(days=30), 50),
    "timeline": lambda one: one.traffic(workload.NOW - timedelta(days=7), workload.NOW),
}


@contextmanager
def _place() -> Iterator[str]:
    """The URL of an empty store on the server of the suite."""
    from iotstore_neo4j.harness import harness  # noqa: PLC0415 - its driver is imported when it is needed

    name = harness.fresh()
    try:
        yield harness.url(name)
    finally:
        if harness.drop is not None:
            harness.drop(name)


def compare(sizes: Any) -> dict[str, Found]:
    """Seconds of each turn, by what was done and by contender."""
    with ExitStack() as stack:
        everybody: list[OnNeo4j] = []
        url = stack.enter_context(_place())
        for module, contender_class in CONTENDERS:
            everybody.append(getattr(import_module(module), contender_class)(url))
            stack.callback(everybody[-1].close)
        related = edges(sizes.linked)
        for one in everybody:
            one.fill(sizes.linked, related)
            one.keep_alerts(workload.alerts(20, sizes.alerts))
        found = _flows(everybody, sizes)
        check_counts({one.name: one.flows() for one in everybody}, "flows")
        for name, question in _QUESTIONS.items():
            check_answers(everybody, name, question)
            found[name] = ask(everybody, question, sizes.turns, sizes.seconds)
        found |= _walks(everybody, sizes, related)
        found["projector"] = _projector(everybody[1], stack.enter_context(_place()), sizes.turns)
    return found


def _flows(everybody: Sequence[OnNeo4j], sizes: Any) -> dict[str, Found]:
    turns = sizes.turns + 1
    flows = workload.flows(20, sizes.batch * turns)
    batches = [flows[at * sizes.batch : (at + 1) * sizes.batch] for at in range(turns)]
    singles = workload.flows(20, _SINGLES * turns, timedelta(days=80))
    alone = [singles[at * _SINGLES : (at + 1) * _SINGLES] for at in range(turns)]

    def one_by_one(one: OnNeo4j, batch: Sequence[Connection]) -> None:
        for flow in batch:
            one.add_flows([flow])

    return {
        "flows": in_batches(everybody, batches, lambda one, batch: one.add_flows(batch), sizes.batch),
        "flow-one": in_batches(everybody, alone, one_by_one, _SINGLES),
    }


def _walks(everybody: Sequence[OnNeo4j], sizes: Any, related: Edges) -> dict[str, Found]:
    keys = workload.device_keys(sizes.linked)
    start, end = keys[0], keys[len(keys) // 2]
    check_answers(everybody, "neighbours", lambda one: one.neighbours(start, 2))
    check_answers(everybody, "path", lambda one: way_length(one, start, end, related))
    return {
        "neighbours": ask(everybody, lambda one: one.neighbours(start, 2), sizes.turns, sizes.seconds),
        "path": ask(everybody, lambda one: one.path(start, end), sizes.turns, sizes.seconds),
    }


def _projector(by_hand: OnNeo4j, url: str, turns: int) -> Found:
    """Seconds for a device that changed: the projector from a SQLite store, and the UNWIND that it comes down to."""
    keep: Callable[[Sequence[Device]], None] = by_hand.keep_devices  # type: ignore[attr-defined]
    found: Found = {"iotstore": [], by_hand.name: []}
    with (
        tempfile.TemporaryDirectory(prefix="iotstore-instead-") as folder,
        iotstore.open(f"sqlite:///{Path(folder) / 'primary.db'}", relationships=url, projector=False) as store,
    ):
        store.devices.put_many(workload.devices(_PROJECTED))
        store.projection.sync()
        for turn in range(turns + 1):
            changed = [msgspec.structs.replace(one, firmware=f"2.{turn}.0") for one in workload.devices(_PROJECTED)]
            store.devices.put_many(changed)
            work: dict[str, Callable[[], object]] = {
                "iotstore": store.projection.sync,
                by_hand.name: partial(keep, changed),
            }
            for name in rotated([*work], turn):
                start = clock()
                work[name]()
                if turn:
                    found[name].append((clock() - start) / _PROJECTED)
        if not store.projection.verify():
            raise RuntimeError("projector: the projection is not what the store holds")
    return found
