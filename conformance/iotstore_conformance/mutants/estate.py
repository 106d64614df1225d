"""Mutants of devices, groups, locations, owners and flows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from iotstore import Device, InvalidValue, NotFound, StillReferenced, field
from iotstore.backend import In, Layout
from iotstore_conformance.mutants.breaking import Breaking
from iotstore_conformance.mutants.registry import mutant
from iotstore_conformance.mutants.shapes import answers, changed, forced, stores, swallowed

_INSTANT = timedelta(microseconds=1)


@mutant("putting-resets-decisions", kills=("DEV-002",), sentence="Putting a device again forgets that it is trusted.")
def _reset(breaking: Breaking) -> None:
    @breaking.wrong("devices", "put")
    def _put(self: Any, right: Any, record: Device) -> Any:
        right(record)
        return self.update(record.key, trusted=False)


@mutant(
    "sightings-carry-their-arrival",
    kills=("DEV-004", "FLT-004"),
    sentence="A device was seen when the sighting arrives, whatever its time.",
)
def _arrival(breaking: Breaking) -> None:
    forced(breaking, "devices", "seen", time=None)


@mutant("the-recent-are-all", kills=("DEV-005",), sentence="Every device that was ever seen was seen recently.")
def _ever(breaking: Breaking) -> None:
    @breaking.wrong("devices", "recent")
    def _recent(self: Any, _right: Any, *_within: Any) -> Any:
        return self.list(field("last_seen").is_set(), order=["-last_seen"])


@mutant("metadata-is-replaced", kills=("DEV-006",), sentence="Setting an entry of metadata removes all others.")
def _metadata(breaking: Breaking) -> None:
    @breaking.wrong("devices", "set_metadata")
    def _set(self: Any, _right: Any, key: str, **entries: Any) -> Any:
        return self.update(key, metadata=entries)


@mutant(
    "addresses-are-compared-as-written", kills=("DEV-007",), sentence="A device is found by its address as written."
)
def _written(breaking: Breaking) -> None:
    @breaking.wrong("devices", "by_ip")
    def _by_ip(self: Any, _right: Any, ip: str) -> Any:
        return [device for device in self.list() if device.ip == ip]


@mutant("newcomers-come-after", kills=("DEV-008",), sentence="A device first seen at the instant asked is no newcomer.")
def _after(breaking: Breaking) -> None:
    @breaking.wrong("devices", "newcomers")
    def _newcomers(_self: Any, right: Any, since: Any) -> Any:
        return right(since + _INSTANT)


@mutant("traffic-holds-its-end", kills=("DEV-009",), sentence="The traffic of a device holds the end of the range.")
def _traffic(breaking: Breaking) -> None:
    @breaking.wrong("devices", "traffic")
    def _held(_self: Any, right: Any, key: str, start: Any, end: Any) -> Any:
        return right(key, start, end + _INSTANT)


@mutant("groups-are-found-one-way", kills=("DEV-010",), sentence="From a device only its first group is found.")
def _one_way(breaking: Breaking) -> None:
    answers(breaking, "groups", "of", lambda found: found[:1])


@mutant(
    "unknown-groups-are-empty",
    kills=("DEV-011", "ERR-004"),
    sentence="An unknown group has no members, and an unknown device no groups.",
)
def _no_members(breaking: Breaking) -> None:
    swallowed(breaking, "groups", "members of", NotFound, ())


@mutant("members-outlive-devices", kills=("DEV-012",), sentence="A deleted device is still a member of its groups.")
def _phantoms(breaking: Breaking) -> None:
    opened = stores(breaking)
    phantoms: dict[str, list[Any]] = {}

    @breaking.wrong("devices", "delete")
    def _delete(_self: Any, right: Any, key: Any, **options: Any) -> None:
        for group in opened[0].groups.of(key):
            phantoms.setdefault(group.key, []).append(opened[0].devices.get(key))
        right(key, **options)

    @breaking.wrong("groups", "members")
    def _members(_self: Any, right: Any, group: str) -> Any:
        return [*phantoms.get(group, []), *right(group)]


@mutant(
    "deletion-takes-evidence-along",
    kills=("DEV-013", "FLT-014"),
    sentence="Deleting a device deletes its alerts.",
)
def _evidence(breaking: Breaking) -> None:
    alerts: list[Layout] = []

    @breaking.wrong("writer", "insert", "delete")
    def _changed(_self: Any, right: Any, layout: Layout, what: Any) -> Any:
        if right.__name__ == "insert" and layout.name == "alert":
            alerts[:] = [layout]
        done = right(layout, what)
        if right.__name__ == "delete" and layout.name == "device":
            for alert in alerts:
                right(alert, In("device", tuple(one.key[0] for one in done)))
        return done


@mutant("nested-places-are-forgotten", kills=("DEV-015",), sentence="Devices at nested locations are not found.")
def _flat(breaking: Breaking) -> None:
    forced(breaking, "locations", "devices", nested=False)


@mutant("places-lie-in-themselves", kills=("DEV-016",), sentence="A location that would lie inside itself is no error.")
def _circles(breaking: Breaking) -> None:
    swallowed(breaking, "locations", "update", InvalidValue)


@mutant("owners-of-devices-can-go", kills=("DEV-017",), sentence="Deleting an owner of devices is quietly not done.")
def _owners(breaking: Breaking) -> None:
    swallowed(breaking, "owners", "delete", StillReferenced)


@mutant(
    "a-new-lease-merges-devices", kills=("FLT-005",), sentence="A device seen at another's address takes its place."
)
def _merged(breaking: Breaking) -> None:
    @breaking.wrong("devices", "seen")
    def _seen(self: Any, right: Any, key: str, *, ip: Any = None, **options: Any) -> Any:
        for other in self.by_ip(ip) if ip else []:
            if other.key != key:
                self.delete(other.key)
        if self.find(key) is None:
            self.add(Device(key=key))
        return right(key, ip=ip, **options)


@mutant("the-unprocessed-come-newest-first", kills=("CON-003",), sentence="What isn't processed comes newest first.")
def _newest(breaking: Breaking) -> None:
    answers(breaking, "connections", "unprocessed", lambda flows: flows[::-1])


@mutant("unknown-flows-are-skipped", kills=("CON-005", "FLT-006"), sentence="Marking an unknown flow is no error.")
def _skipped(breaking: Breaking) -> None:
    @breaking.wrong("connections", "mark_processed")
    def _mark(self: Any, right: Any, ids: Any) -> Any:
        return right([id_ for id_ in ids if self.find(id_) is not None])


@mutant("recent-flows-are-too-recent", kills=("CON-006", "HOM-001"), sentence="An hour of flows is a minute.")
def _oldest(breaking: Breaking) -> None:
    @breaking.wrong("connections", "recent")
    def _recent(_self: Any, right: Any, within: Any, **options: Any) -> Any:
        return right(within / 60, **options)


@mutant(
    "rankings-begin-at-the-end",
    kills=("CON-007", "CON-011"),
    sentence="Bandwidth is ranked from the least.",
)
def _least(breaking: Breaking) -> None:
    answers(breaking, "connections", "bandwidth", lambda rows: rows[::-1])


@mutant("timelines-have-days-only", kills=("CON-009",), sentence="Every timeline of flows has buckets of a day.")
def _days(breaking: Breaking) -> None:
    forced(breaking, "connections", "timeline", width="day")


@mutant("weekdays-are-not-told-apart", kills=("CON-010",), sentence="The heatmap adds all weekdays up.")
def _weekdays(breaking: Breaking) -> None:
    forced(breaking, "connections", "heatmap", weekdays=False)


@mutant("wrong-names-are-ignored", kills=("FLT-007", "FIL-021"), sentence="A change of an unknown field is left out.")
def _wrong_names(breaking: Breaking) -> None:
    @breaking.wrong("collection", "update")
    def _update(self: Any, right: Any, key: Any, *, expected: Any = None, **changes: Any) -> Any:
        known = {name: value for name, value in changes.items() if name in self.kind.fields}
        return right(key, expected=expected, **known) if known else self.get(key)


@mutant(
    "capital-keys-are-small",
    kills=("VAL-002",),
    sentence="Keys of devices are stored in small letters.",
)
def _small(breaking: Breaking) -> None:
    @breaking.wrong("devices", "add")
    def _add(_self: Any, right: Any, record: Any) -> Any:
        return right(changed(record, key=record.key.lower())) if isinstance(record.key, str) else right(record)
