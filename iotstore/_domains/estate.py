"""Groups, locations and owners of devices."""

from __future__ import annotations

from collections.abc import Iterable

from iotstore._engine.batches import KeepOrError
from iotstore._engine.collection import Collection
from iotstore._engine.engine import Engine
from iotstore._engine.receipts import OnInvalid, Receipt
from iotstore._kinds.estate import (
    DEVICES,
    GROUPS,
    LOCATIONS,
    MEMBERSHIPS,
    OWNERS,
    Device,
    Group,
    Location,
    Membership,
    Owner,
)
from iotstore._query.expressions import Where, field
from iotstore.errors import InvalidValue, NotFound


class Groups(Collection[Group]):
    """Named sets of devices."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, GROUPS)
        self._members = Collection(engine, MEMBERSHIPS)

    def add_device(self, group: str, device: str) -> bool:
        """Put a device into a group; False if it was in it already. Unknown ones are UnknownReference."""
        with self._engine.writing():
            if self._members.find((group, device)) is not None:
                return False
            self._members.add(Membership(group=group, device=device))
            return True

    def remove_device(self, group: str, device: str) -> None:
        """Take a device out of a group; NotFound if it was not in it."""
        self._members.delete((group, device))

    def members(self, group: str) -> list[Device]:
        """The devices of a group, by key; NotFound for an unknown group."""
        with self._engine.consistent() as session:
            twin = self._engine.bound(session)
            Groups(twin).get(group)
            links = Collection(twin, MEMBERSHIPS).list(field("group") == group, order=["device"])
            found = Collection(twin, DEVICES).get_many(link.device for link in links)
        return [device for device in found if device is not None]

    def of(self, device: str) -> list[Group]:
        """The groups that a device is in, by key; NotFound for an unknown device."""
        with self._engine.consistent() as session:
            twin = self._engine.bound(session)
            Collection(twin, DEVICES).get(device)
            links = Collection(twin, MEMBERSHIPS).list(field("device") == device, order=["group"])
            found = Groups(twin).get_many(link.group for link in links)
        return [group for group in found if group is not None]


class Locations(Collection[Location]):
    """Places, nested in each other."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, LOCATIONS)

    def put(self, record: Location) -> Location:
        """Store or merge a location; one inside itself, at any depth, is refused."""
        with self._engine.writing():
            self._refuse_circle(record.key, record.parent)
            return super().put(record)

    def update(self, key: object, /, *, expected: int | None = None, **changes: object) -> Location:
        """Set fields of a location; one inside itself, at any depth, is refused."""
        with self._engine.writing():
            parent = changes.get("parent")
            if isinstance(key, str) and isinstance(parent, str):
                self._refuse_circle(key, parent)
            return super().update(key, expected=expected, **changes)

    def add_many(
        self,
        records: Iterable[Location],
        *,
        on_invalid: OnInvalid = "raise",
        on_conflict: KeepOrError = "error",
        idempotency_key: str | None = None,
        ids: bool = False,
    ) -> Receipt:
        """Store new locations in one transaction; a circle among them is refused."""
        batch = list(records)
        with self._engine.writing():
            receipt = super().add_many(
                batch, on_invalid=on_invalid, on_conflict=on_conflict, idempotency_key=idempotency_key, ids=ids
            )
            self._refuse_circles(batch)
        return receipt

    def put_many(
        self, records: Iterable[Location], *, on_invalid: OnInvalid = "raise", idempotency_key: str | None = None
    ) -> Receipt:
        """Put locations in one transaction; one inside itself, at any depth, is refused."""
        batch = list(records)
        with self._engine.writing():
            receipt = super().put_many(batch, on_invalid=on_invalid, idempotency_key=idempotency_key)
            self._refuse_circles(batch)
        return receipt

    def update_where(self, where: Where, /, **changes: object) -> int:
        """Set fields of every matching location; one inside itself, at any depth, is refused."""
        with self._engine.writing():
            touched = self.list(where) if "parent" in changes else []
            count = super().update_where(where, **changes)
            self._refuse_circles([self.get(place.key) for place in touched])
        return count

    def children(self, key: str, *, nested: bool = False) -> list[Location]:
        """The locations directly inside this one, or with *nested* at any depth, by key."""
        with self._engine.consistent() as session:
            places = Locations(self._engine.bound(session))
            places.get(key)
            return places.inside([key], nested=nested)

    def inside(self, keys: list[str], *, nested: bool) -> list[Location]:
        """The locations inside any of *keys*, level by level, by key."""
        seen: dict[str, Location] = {}
        level = keys
        while level:
            found = self.list(field("parent").in_(level), order=["key"])
            # What was seen is not gone into again: a circle made behind our back ends here.
            level = [place.key for place in found if place.key not in seen and place.key not in keys]
            seen.update((place.key, place) for place in found if place.key not in keys)
            if not nested:
                break
        return [seen[key] for key in sorted(seen)]

    def devices(self, key: str, *, nested: bool = True) -> list[Device]:
        """The devices at this location and, with *nested*, at those inside it, by key."""
        with self._engine.consistent() as session:
            twin = self._engine.bound(session)
            places = Locations(twin)
            places.get(key)
            keys = [key, *(place.key for place in places.inside([key], nested=True))] if nested else [key]
            return Collection(twin, DEVICES).list(field("location").in_(keys), order=["key"])

    def _refuse_circles(self, places: Iterable[Location]) -> None:
        for place in places:
            try:
                stored = self.find(place.key)
            except InvalidValue:  # a row that was rejected for its key
                continue
            if stored is not None:
                self._refuse_circle(stored.key, stored.parent)

    def _refuse_circle(self, key: str, parent: str | None) -> None:
        above, seen = parent, {key}
        while above is not None:
            if above in seen:
                raise InvalidValue(f"location {key!r} would lie inside itself", field="parent")
            seen.add(above)
            found = self.find(above)
            above = found.parent if found is not None else None


class Owners(Collection[Owner]):
    """Who devices belong to."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, OWNERS)

    def devices(self, key: str) -> list[Device]:
        """The devices of an owner, by key; NotFound for an unknown owner."""
        with self._engine.consistent() as session:
            twin = self._engine.bound(session)
            if Owners(twin).find(key) is None:
                raise NotFound("owner", key)
            return Collection(twin, DEVICES).list(field("owner") == key, order=["key"])
