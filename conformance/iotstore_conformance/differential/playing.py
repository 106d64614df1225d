"""Playing a history on one store: each step becomes a call, each result an answer."""

from __future__ import annotations

import dataclasses
import inspect
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import iotstore
from iotstore import Store, StoreError, field
from iotstore.backend import Capability, Type
from iotstore_conformance.aborting import Abort
from iotstore_conformance.differential.answers import Answer, Names, Near
from iotstore_conformance.differential.homes import Home
from iotstore_conformance.differential.steps import Ask, Made, Plants, Step, Version
from iotstore_conformance.filters import Both, Either, Opposite, Test, as_where

_DOMAINS: Final = (
    "devices", "groups", "locations", "owners", "connections", "alerts", "telemetry", "settings",
    "relationships",
)  # fmt: skip
#: Everything that is compared at the end of a history.
STATE: Final = (
    "owner", "location", "device", "device_group", "membership", "connection", "alert", "suppression", "metric",
    "series", "suite_sample", "suite_cell", "suite_leaf", "suite_tally", "suite_plant",
    "contact", "relation",
)  # fmt: skip
_NESTING: Final = 3
_TICK: Final = timedelta(seconds=1)
# Doubles that an engine adds up in any order.
_INEXACT: Final = ("sum", "mean", "stddev")


@dataclass(frozen=True, slots=True)
class Powers:
    """What both stores of a comparison can do; steps that need more are left out on both."""

    transactions: bool
    savepoints: bool
    series: bool
    persistence: bool

    @classmethod
    def common(cls, *homes: Home) -> Powers:
        """What the stores of all of these claim."""

        def all_have(capability: Capability) -> bool:
            return all(home.store.capabilities.has(capability) for home in homes)

        return cls(
            all_have(Capability.TRANSACTIONS),
            all_have(Capability.SAVEPOINTS),
            all_have(Capability.SERIES),
            all_have(Capability.PERSISTENCE),
        )


class Player:
    """Plays steps on one open store, whose clock moves one second with each.

    Backups are restored beside the URL *elsewhere*; without one there is no place for them.
    """

    def __init__(self, home: Home, powers: Powers, elsewhere: str | None) -> None:
        self.home = home
        self.store = home.store
        self.clock = home.clock
        self.powers = powers
        self.elsewhere = elsewhere
        self.names = Names(self.store.kinds)
        self._open: list[AbstractContextManager[Any]] = []

    def play(self, step: Step) -> Answer:
        """Do one step. Errors of any class are answers: only one side may have them."""
        self.clock.move(_TICK)
        try:
            return Answer(None, self.names.plain(self._do(step)))
        except Exception as error:  # noqa: BLE001 - a driver's error that escapes is a difference, not the end
            if not self.powers.savepoints:
                self.finish()  # without savepoints a transaction can't go on after a refused call
            return Answer(type(error).__name__, foreign=not isinstance(error, StoreError))

    def finish(self) -> None:
        """Roll back what is still open."""
        while self._open:
            self._undo()

    def state(self) -> dict[str, Answer]:
        """All that the store holds, by kind, and its points."""
        found = {kind: self.play(Step(f"{kind}.list")) for kind in STATE}
        found["setting"] = self.play(Step("settings.all"))
        if self.powers.series:
            found["latest"] = self.play(Step("telemetry.latest_all"))
            found["points"] = Answer(None, self.names.plain(self._points()))
        return found

    def _back_up(self) -> object:
        """All that is in a portable backup, once it is restored."""
        if self.elsewhere is None:
            return "left out"
        with tempfile.TemporaryDirectory(prefix="iotstore-suite-") as folder:
            backup = self.store.backups.create(folder, format="portable")
            with self.home.restored(backup.path, self.elsewhere) as restored:
                here, self.store = self.store, restored
                try:
                    return [[kind, self._told(answer)] for kind, answer in self.state().items()]
                finally:
                    self.store = here

    def _told(self, answer: Answer) -> object:
        if answer.error:
            raise RuntimeError(f"what was restored can't be read: {answer.error}")
        return answer.value

    def _grow(self) -> str:
        """Open the store again with a kind that has another field."""
        if self._open or not self.powers.persistence:
            return "left out"
        self.home.grow()
        self.store = self.home.store
        self.names.learn(self.store.kinds)
        return "grown"

    def _points(self) -> list[object]:
        telemetry = self.store.telemetry
        return [list(telemetry.stream(one.device, one.metric)) for one in self.store.records("series").list()]

    def _do(self, step: Step) -> object:
        if step.call in ("begin", "commit", "undo"):
            return self._transact(step.call)
        if step.call in ("back up", "grow"):
            return self._back_up() if step.call == "back up" else self._grow()
        home, _, method = step.call.partition(".")
        if home == "telemetry" and not self.powers.series:
            return "left out"
        target: Any = getattr(self.store, home) if home in _DOMAINS else self.store.records(home)
        args = [self._given(value) for value in step.args]
        options = {name: self._given(value) for name, value in step.options.items()}
        if method == "pages":
            return _pages(target, **options)
        result: Any = getattr(target, method)(*args, **options)
        if inspect.isgenerator(result):
            return list(result)
        if isinstance(result, iotstore.Receipt) and result.ids is not None:
            turns = [self.names.of_id(target.kind.name, id_) for id_ in result.ids]
            return [dataclasses.replace(result, ids=None), turns]
        if isinstance(result, list) and method == "aggregate" and not options.get("exact"):
            return _nearly(self.store, target, args, options, result)
        return result

    def _given(self, value: object) -> Any:
        if isinstance(value, Made):
            return self.names.id_of(value.kind, value.nth)
        if isinstance(value, Version):
            stored = self.store.records(value.kind).find(value.key)
            return 1 if stored is None else stored.version - value.stale
        if isinstance(value, Ask):
            zone = {} if value.zone is None else {"zone": value.zone}
            return getattr(iotstore, value.name)(*value.args, **zone)
        if isinstance(value, Plants):
            (record,) = (kind.record for kind in self.home.kinds if kind.name == "suite_plant")
            return record(**{name: one for name, one in value.fields.items() if name in record.__struct_fields__})
        if isinstance(value, Test | Both | Either | Opposite):
            return as_where(value)
        if isinstance(value, list):
            return [self._given(one) for one in value]
        if isinstance(value, Mapping):
            return {name: self._given(one) for name, one in value.items()}
        return value

    def _transact(self, word: str) -> str:
        if word == "begin":
            allowed = self.powers.savepoints if self._open else self.powers.transactions
            if not allowed or len(self._open) == _NESTING:
                return "left out"
            block = self.store.transaction()
            block.__enter__()
            self._open.append(block)
        elif not self._open:
            return "left out"
        elif word == "commit":
            self._open.pop().__exit__(None, None, None)
        else:
            self._undo()
        return word

    def _undo(self) -> None:
        block = self._open.pop()
        with suppress(Abort, StoreError):
            block.__exit__(Abort, Abort("the history goes back"), None)


def _pages(target: Any, **options: Any) -> list[object]:
    """Every page of a selection, one after the other."""
    found: list[object] = []
    after = None
    while True:
        page = target.page(after=after, **options)
        found.append(page.items)
        after = page.next
        if after is None:
            return found
        if len(found) > 1000:
            raise RuntimeError("a thousand pages of a handful of records: the cursor does not move")


def _nearly(store: Store, target: Any, args: list[Any], options: dict[str, Any], result: list[Any]) -> list[Any]:
    """The rows of an aggregate, with sums and means of doubles marked as such, by the size of what they add up."""
    if target is store.telemetry:
        functions = [name for name in options["functions"] if name in _INEXACT]
        return [_near_bucket(target, functions, options, bucket) for bucket in result]
    measures: dict[str, Any] = args[0]
    for name, of in measures.items():
        if of.function in ("sum", "mean") and target.kind.layout.column(of.field).type is Type.REAL:
            sizes = _sizes(target, of.field, options)
            for row in result:
                if row[name] is not None:
                    total, count = sizes[_group(row, measures)]
                    row[name] = Near(row[name], total if of.function == "sum" else total / count)
    return result


def _group(row: dict[str, Any], measures: Mapping[str, Any]) -> str:
    return repr({name: value for name, value in row.items() if name not in measures})


def _sizes(target: Any, name: str, options: dict[str, Any]) -> dict[str, tuple[float, int]]:
    """The sum of absolute values and the number of values in each group of a field of doubles."""
    sizes: dict[str, tuple[float, int]] = {}
    asked = {"t": iotstore.sum_(name), "n": iotstore.count(name)}
    rest = {key: value for key, value in options.items() if key not in ("where", "order", "limit", "exact")}
    sides: list[Callable[[Any], Any]] = [lambda column: column >= 0.0, lambda column: column < 0.0]
    for side in sides:
        where = side(field(name))
        where = where if options.get("where") is None else options["where"] & where
        for row in target.aggregate(asked, where=where, exact=True, **rest):
            before, count = sizes.get(_group(row, asked), (0.0, 0))
            sizes[_group(row, asked)] = before + abs(row["t"] or 0.0), count + row["n"]
    return sizes


def _near_bucket(telemetry: Any, functions: list[str], options: dict[str, Any], bucket: Any) -> object:
    values: dict[str, Any] = dict(bucket.values)
    if any(isinstance(values.get(name), float) for name in functions):
        start: datetime = max(bucket.start, options["start"])
        end: datetime = min(bucket.end, options["end"])
        points = telemetry.range(bucket.device, bucket.metric, start, end)
        size = float(sum(abs(point.value) for point in points))
        for name in functions:
            if isinstance(values[name], float):
                values[name] = Near(values[name], size / max(1, len(points)) if name == "mean" else size)
    return [bucket.device, bucket.metric, bucket.start, bucket.end, values]
