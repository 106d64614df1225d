"""Which devices talk to each other: noted when flows are stored, for a device has an address for a while only."""

from __future__ import annotations

from collections.abc import Sequence

from iotstore._engine.engine import Engine
from iotstore._engine.transaction import Transaction
from iotstore._kinds.estate import DEVICES
from iotstore._kinds.network import CONNECTIONS
from iotstore._kinds.relations import CONTACTS
from iotstore._values import MIN_INT
from iotstore._waist.filters import In
from iotstore._waist.layout import Key, Row, Type, Value
from iotstore._waist.queries import Select


def note_contacts(engine: Engine, transaction: Transaction, flows: Sequence[Row]) -> None:
    """Note for these rows of flows which device had the address that each went to, where one has it now."""
    device, address = CONNECTIONS.layout.position["device"], CONNECTIONS.layout.position["destination__order"]
    addresses = {row[address] for row in flows}
    addresses.discard(None)
    peers = _devices_at(engine, transaction, tuple(sorted(addresses))) if addresses else {}
    if peers:
        pairs = {(row[device], peers[row[address]]) for row in flows if row[address] in peers}
        _note_new(engine, transaction, sorted(pair for pair in pairs if pair[0] != pair[1]))


def _devices_at(engine: Engine, transaction: Transaction, addresses: tuple[Value, ...]) -> dict[Value, Value]:
    """The device at each address; of several the one that was seen last, of those the one with the least key."""
    position = DEVICES.layout.position
    at, key, seen = position["ip__order"], position["key"], position["last_seen"]
    free = engine.codec(DEVICES).free_of
    rows = transaction.session.select(DEVICES.layout, Select(In("ip__order", addresses)))
    rows.sort(key=lambda row: free(Type.TEXT, row[key]))
    found: dict[Value, tuple[int, Value]] = {}
    for row in rows:
        last = free(Type.TIME, row[seen])
        when = MIN_INT if last is None else last
        if row[at] not in found or when > found[row[at]][0]:
            found[row[at]] = (when, row[key])
    return {address: device for address, (_, device) in found.items()}


def _note_new(engine: Engine, transaction: Transaction, contacts: Sequence[Key]) -> None:
    session = transaction.session
    known = session.get_many(CONTACTS.layout, contacts) if contacts else []
    new = [pair for pair, row in zip(contacts, known, strict=True) if row is None]
    if not new:
        return
    # Held, so that none of them is deleted before its contact is stored; one that has just gone is no contact.
    devices = sorted({device for pair in new for device in pair})
    held = session.get_many(DEVICES.layout, [(device,) for device in devices], hold=True)
    there = {device for device, row in zip(devices, held, strict=True) if row is not None}
    # A contact is its key and a version, held as the flow and the device hold them.
    rows = [(*pair, transaction.next_version()) for pair in new if there.issuperset(pair)]
    size = engine.backend.limits.insert_rows
    for start in range(0, len(rows), size):
        # A rival may note the same contact meanwhile.
        for row, inserted in session.upsert(CONTACTS.layout, rows[start : start + size]):
            transaction.changed(CONTACTS, CONTACTS.layout.key_of(row), row[-1], "insert" if inserted else "update")
