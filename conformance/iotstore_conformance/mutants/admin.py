"""Mutants of admin, settings, the home page, capabilities and errors."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from iotstore import Conflict, InvalidValue, NotAllowed, Store, StoreError, Unsupported
from iotstore.backend import Capabilities, Capability, Compare, Durability, Layout, NotSupported, Op
from iotstore_conformance.mutants.breaking import Breaking, Foreign
from iotstore_conformance.mutants.registry import mutant
from iotstore_conformance.mutants.shapes import answers, forced, swallowed


@mutant("health-looks-at-nothing", kills=("ADM-001",), sentence="Health says ok without a check.")
def _unchecked(breaking: Breaking) -> None:
    answers(breaking, "admin", "health", lambda health: replace(health, checks=()))


@mutant("statistics-are-estimates", kills=("ADM-002", "HOM-002"), sentence="Statistics give the next ten of rows.")
def _estimated(breaking: Breaking) -> None:
    answers(breaking, "backend", "places", lambda found: [one._replace(rows=one.rows // 10 * 10 + 10) for one in found])


@mutant("optimising-loses-a-record", kills=("ADM-003", "ADM-004"), sentence="Optimising loses the record stored last.")
def _lossy(breaking: Breaking) -> None:
    stored: dict[str, tuple[Layout, Any]] = {}

    @breaking.wrong("writer", "insert", "insert_many")
    def _insert(_self: Any, right: Any, layout: Layout, rows: Any, *rest: Any) -> Any:
        last = rows if right.__name__ == "insert" else rows[-1]
        stored[layout.name] = (layout, layout.key_of(last)[0])
        return right(layout, rows, *rest)

    @breaking.wrong("backend", "optimise")
    def _optimise(self: Any, right: Any, **options: Any) -> Any:
        with self.write() as session:
            for layout, key in stored.values():
                session.delete(layout, Compare(layout.key[0], Op.EQ, key))
        return right(**options)


@mutant("plans-are-kept-secret", kills=("ADM-008",), sentence="Explaining tells statements without their plans.")
def _secret(breaking: Breaking) -> None:
    answers(breaking, "store", "explain", lambda told: [one._replace(plan=()) for one in told])


@mutant("dry-runs-are-wet", kills=("ADM-005",), sentence="A dry run of retention deletes what it tells of.")
def _wet(breaking: Breaking) -> None:
    forced(breaking, "admin", "retention", dry_run=False)


@mutant("retention-knows-better", kills=("ADM-007",), sentence="Retention ignores the span that it is given.")
def _deaf(breaking: Breaking) -> None:
    forced(breaking, "admin", "retention", keep=None)


@mutant("null-is-unknown", kills=("SET-001",), sentence="A setting that is null is taken for one that isn't there.")
def _null(breaking: Breaking) -> None:
    @breaking.wrong("settings", "get")
    def _get(_self: Any, right: Any, name: str, default: Any = None) -> Any:
        found = right(name, default)
        return default if found is None else found


@mutant("the-home-page-counts-its-lists", kills=("HOM-001",), sentence="Totals of the home page count its lists.")
def _short(breaking: Breaking) -> None:
    answers(
        breaking, "store", "home", lambda page: replace(page, total_connections=len(page.connections)),
    )  # fmt: skip


@mutant("refusals-have-no-reason", kills=("CAP-001",), sentence="What is not supported has no reason and no remedy.")
def _reasonless(breaking: Breaking) -> None:
    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Store:
        store: Store = right(url, **options)
        store.backend.capabilities = store.capabilities.but({Capability.CONCURRENT_READS: NotSupported("", "")})
        return store


@mutant("keys-are-short", kills=("CAP-002",), sentence="The declared limits leave no room for keys.")
def _short_keys(breaking: Breaking) -> None:
    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Store:
        store: Store = right(url, **options)
        store.backend.limits = replace(store.limits, max_key_bytes=64)
        return store


@mutant(
    "nothing-lasts", kills=("CAP-003",), sentence="The declared durability is the opposite of the claim to persist."
)
def _ephemeral(breaking: Breaking) -> None:
    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Store:
        store: Store = right(url, **options)
        persistent = store.capabilities.has(Capability.PERSISTENCE)
        store.backend.durability = Durability.NONE if persistent else Durability.FULL
        return store


@mutant("what-is-claimed-is-refused", kills=("CAP-004",), sentence="A capability that is claimed is refused when used.")
def _refusing(breaking: Breaking) -> None:
    class _Refusing(Capabilities):
        def require(self, capability: Capability) -> None:
            if capability in (Capability.COMPACTION, Capability.NATIVE_BACKUP):
                raise Unsupported(capability.value, self.backend, "on second thoughts", remedy="none")
            super().require(capability)

    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Store:
        store: Store = right(url, **options)
        declared = {capability: store.capabilities[capability] for capability in Capability}
        store.backend.capabilities = _Refusing(store.backend.name, declared)
        return store


@mutant("closed-stores-are-empty", kills=("ERR-001",), sentence="A closed store lists nothing instead of refusing.")
def _closed(breaking: Breaking) -> None:
    swallowed(breaking, "collection", "list", NotAllowed, ())


@mutant(
    "errors-of-drivers-escape", kills=("ERR-002", "REC-003"), sentence="A conflict is raised as the driver's error."
)
def _escaped(breaking: Breaking) -> None:
    @breaking.wrong("writer", "insert")
    def _insert(_self: Any, right: Any, *args: Any) -> None:
        try:
            right(*args)
        except Conflict as error:
            raise Foreign("duplicate key") from error


@mutant("errors-name-no-field", kills=("ERR-003",), sentence="An error about a value says that there is one.")
def _nameless(breaking: Breaking) -> None:
    @breaking.wrong("collection", "add")
    def _add(_self: Any, right: Any, record: Any) -> Any:
        try:
            return right(record)
        except InvalidValue as error:
            if error.field != "number":
                raise
            raise InvalidValue("a value is wrong") from error


@mutant("failures-to-delete-are-quiet", kills=("DEV-003", "FLT-001"), sentence="A deletion that fails looks like one.")
def _quiet(breaking: Breaking) -> None:
    @breaking.wrong("devices", "delete")
    def _delete(_self: Any, right: Any, key: Any, **options: Any) -> None:
        with suppress(StoreError):
            right(key, **options)
