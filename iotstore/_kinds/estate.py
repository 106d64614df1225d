"""Devices and what they belong to: groups, locations, owners."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from iotstore._kinds.fields import Address, Json, Mac, Tags, Text
from iotstore._kinds.kind import Kind, Tracked
from iotstore._kinds.relating import Relates
from iotstore._waist.layout import Merge, OnDelete


class Owner(Tracked, frozen=True, kw_only=True):
    """A person or organisation that devices belong to."""

    key: Annotated[str, Text(120, min=1)]
    name: Annotated[str | None, Text(200, search=True)] = None
    email: Annotated[str | None, Text(254)] = None
    metadata: Annotated[Any, Json()] = None


class Location(Tracked, frozen=True, kw_only=True):
    """A place; *parent* nests it in another one."""

    key: Annotated[str, Text(120, min=1)]
    name: Annotated[str | None, Text(200, search=True)] = None
    parent: Annotated[str | None, Text(120, min=1)] = None
    metadata: Annotated[Any, Json()] = None


class Group(Tracked, frozen=True, kw_only=True):
    """A named set of devices."""

    key: Annotated[str, Text(120, min=1)]
    name: Annotated[str | None, Text(200, search=True)] = None
    description: Annotated[str | None, Text(2000)] = None


class Membership(Tracked, frozen=True, kw_only=True):
    """A device in a group."""

    group: Annotated[str, Text(120, min=1)]
    device: Annotated[str, Text(120, min=1)]


class Device(Tracked, frozen=True, kw_only=True):
    """A device or sensor, known by a *key* of the caller's choice that is stable for ever.

    Its addresses may change (a new DHCP lease) without making it another device. Putting it again fills in what is
    not None, keeps the earliest *first_seen* and the latest *last_seen*, and leaves *trusted*, *blocked* and *active*
    to their own methods.
    """

    key: Annotated[str, Text(120, min=1)]
    name: Annotated[str | None, Text(200, search=True)] = None
    kind: Annotated[str | None, Text(60)] = None
    category: Annotated[str | None, Text(60)] = None
    ip: Annotated[str | None, Address()] = None
    mac: Annotated[str | None, Mac()] = None
    serial: Annotated[str | None, Text(120)] = None
    vendor: Annotated[str | None, Text(120, search=True)] = None
    model: Annotated[str | None, Text(120)] = None
    firmware: Annotated[str | None, Text(120)] = None
    owner: Annotated[str | None, Text(120, min=1)] = None
    location: Annotated[str | None, Text(120, min=1)] = None
    status: Annotated[str | None, Text(40)] = None
    trusted: bool = False
    blocked: bool = False
    active: bool = True
    notes: Annotated[str | None, Text(10_000, search=True)] = None
    settings: Annotated[Any, Json()] = None
    metadata: Annotated[Any, Json()] = None
    tags: Annotated[frozenset[str], Tags()] = frozenset()
    first_seen: datetime | None = None
    last_seen: datetime | None = None


OWNERS: Final = Kind(Owner, "owner", "key", merge={"name": Merge.COALESCE, "email": Merge.COALESCE}, relates=())
LOCATIONS: Final = Kind(
    Location,
    "location",
    "key",
    references={"parent": ("location", OnDelete.RESTRICT)},
    merge={"name": Merge.COALESCE, "parent": Merge.COALESCE, "metadata": Merge.COALESCE},
    indexes=[["parent"]],
    relates=[Relates("LOCATED_IN", target="parent")],
)
GROUPS: Final = Kind(Group, "device_group", "key", noun="group", merge={"name": Merge.COALESCE}, relates=())
MEMBERSHIPS: Final = Kind(
    Membership,
    "membership",
    ("group", "device"),
    references={"group": ("device_group", OnDelete.CASCADE), "device": ("device", OnDelete.CASCADE)},
    indexes=[["device"]],
    relates=[Relates("MEMBER_OF", source="device", target="group")],
)
_KEPT = ("trusted", "blocked", "active")
DEVICES: Final = Kind(
    Device,
    "device",
    "key",
    references={"owner": ("owner", OnDelete.RESTRICT), "location": ("location", OnDelete.RESTRICT)},
    merge={
        **{name: Merge.COALESCE for name in Device.__struct_fields__ if name not in ("key", "version")},
        **dict.fromkeys(_KEPT, Merge.KEEP),
        "first_seen": Merge.MIN,
        "last_seen": Merge.MAX,
    },
    indexes=[["last_seen"], ["location"], ["owner"], ["ip"], ["mac"], ["serial"], ["kind"]],
    relates=[Relates("OWNS", source="owner"), Relates("LOCATED_IN", target="location")],
)
