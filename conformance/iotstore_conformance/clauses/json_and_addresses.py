"""JSON, IP addresses and MAC addresses: equal values and types back, one canonical form, one order."""

from __future__ import annotations

from typing import Any, Final

import pytest

from iotstore import Device, InvalidValue, field
from iotstore_conformance.kinds import SAMPLES, Sample
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import Stage

_JSON: Final[list[Any]] = [
    True, False, 0, 1, 1.0, 0.1, -1, 2**63 - 1, -(2**63), 2**53 + 1, 1e22, 1e308, 5e-324, "", "x", "1",
    "\u00e9\U0001f600", [], {}, [None], [1, 2.5, "3", [True, None]], {"": None}, {"%": "_", "'": '"\\'},
    {"a": {"b": [{}]}, "B": 1, "b": 2},
]  # fmt: skip


def _typed(value: Any) -> Any:
    """The value with the type of every number beside it, so that 1, 1.0 and True differ."""
    if isinstance(value, list):
        return [_typed(member) for member in value]
    if isinstance(value, dict):
        return {name: _typed(member) for name, member in value.items()}
    return (type(value), value)


@clause("VAL-030")
def json_keeps_values_and_types(stage: Stage) -> None:
    """JSON MUST come back with equal values and types: 1, 1.0 and true stay three things."""
    samples = stage.store.records(SAMPLES)
    samples.add_many([Sample(key=f"k{number:02}", json=value) for number, value in enumerate(_JSON)])
    assert [_typed(sample.json) for sample in samples.list(order=["key"])] == [_typed(value) for value in _JSON]


@clause("VAL-031")
def json_has_limits(stage: Stage) -> None:
    """JSON MUST be refused where an integer exceeds 64 bits, a name is no text, or a value is no JSON."""
    samples = stage.store.records(SAMPLES)
    for value in (2**63, [-(2**63) - 1], {1: "x"}, {"x": {1, 2}}, b"x", [object()]):
        with pytest.raises(InvalidValue, match="json"):
            samples.add(Sample(key="a", json=value))
    assert samples.count() == 0


@clause("VAL-032")
def json_is_a_hundred_deep(stage: Stage) -> None:
    """JSON nested 100 deep MUST be kept, and 101 deep refused."""

    def nested(depth: int) -> Any:
        value: Any = []
        for level in range(depth - 1):
            value = [value] if level % 2 else {"x": value}
        return value

    samples = stage.store.records(SAMPLES)
    samples.add(Sample(key="deep", json=nested(100)))
    assert samples.get("deep").json == nested(100)
    with pytest.raises(InvalidValue, match="100"):
        samples.add(Sample(key="deeper", json=nested(101)))


@clause("VAL-033")
def json_is_asked_for_presence_only(stage: Stage) -> None:
    """A JSON field MUST be tested for presence only: comparing or ordering by it is refused, as engines disagree."""
    samples = stage.store.records(SAMPLES)
    samples.add_many([Sample(key="a", json={"x": 1}), Sample(key="b"), Sample(key="c", json=[])])
    assert [sample.key for sample in samples.list(field("json").is_set())] == ["a", "c"]
    assert [sample.key for sample in samples.list(field("json").is_null())] == ["b"]
    with pytest.raises(InvalidValue, match="json"):
        samples.list(field("json") == {"x": 1})
    with pytest.raises(InvalidValue, match="json"):
        samples.list(order=["json"])


@clause("VAL-040")
def addresses_have_one_form(stage: Stage) -> None:
    """An IP address MUST be stored in one canonical form, however it was written."""
    devices = stage.store.devices
    written = {
        "192.168.1.20": "192.168.1.20",
        "2001:DB8:0:0:0:0:0:1": "2001:db8::1",
        "2001:db8:0:1:0:0:0:1": "2001:db8:0:1::1",
        "::ffff:1.2.3.4": "::ffff:102:304",
        "::": "::",
        "0:0:0:0:0:0:0:1": "::1",
        "fe80::0": "fe80::",
        "1:0:2:0:3:0:4:0": "1:0:2:0:3:0:4:0",
    }
    for number, text in enumerate(written):
        devices.add(Device(key=f"k{number}", ip=text))
    assert [device.ip for device in devices.list(order=["key"])] == list(written.values())
    for text in written:
        assert devices.count(field("ip") == text) == 1


@clause("VAL-041")
def addresses_order_by_version_and_value(stage: Stage) -> None:
    """IP addresses MUST order by version, then value, in sorting, comparison and networks."""
    devices = stage.store.devices
    ordered = [
        "1.2.3.4",
        "9.0.0.0",
        "10.0.0.1",
        "10.0.0.10",
        "10.0.1.0",
        "192.168.0.1",
        "::1",
        "2::",
        "10::",
        "fe80::1",
    ]
    for number, text in enumerate(reversed(ordered)):
        devices.add(Device(key=f"k{number}", ip=text))
    assert [device.ip for device in devices.list(order=["ip"])] == ordered
    assert [device.ip for device in devices.list(field("ip") > "10.0.0.9", order=["ip"])] == ordered[3:]
    found = devices.list(field("ip").in_network("10.0.0.0/24"), order=["ip"])
    assert [device.ip for device in found] == ["10.0.0.1", "10.0.0.10"]
    assert [device.ip for device in devices.list(field("ip").in_network("2::/15"), order=["ip"])] == ["2::"]


@clause("VAL-042")
def bad_addresses_are_refused(stage: Stage) -> None:
    """What is no IP address MUST be refused: newlines, leading zeros, other digits, scope ids, networks, spaces."""
    devices = stage.store.devices
    bad = [
        "1.2.3.4\n",
        "010.0.0.1",
        "1.2.3",
        "1.2.3.4/24",
        "fe80::1%eth0",
        "\u0661.2.3.4",
        " 1.2.3.4",
        "",
        "home",
        "1.2.3.256",
    ]
    for text in bad:
        with pytest.raises(InvalidValue, match="ip"):
            devices.add(Device(key="a", ip=text))
    assert devices.count() == 0


@clause("VAL-043")
def hardware_addresses_have_one_form(stage: Stage) -> None:
    """A MAC address MUST be stored in lower case with colons, however it was written, and a malformed one refused."""
    devices = stage.store.devices
    for number, text in enumerate(["00:1A:2B:3C:4D:5E", "00-1a-2b-3c-4d-5e", "001A.2B3C.4D5E"]):
        assert devices.add(Device(key=f"k{number}", mac=text)).mac == "00:1a:2b:3c:4d:5e"
        assert devices.count(field("mac") == text) == number + 1
    for text in ("00:1a:2b:3c:4d", "00:1a:2b:3c:4d:5e\n", "a:b:c:0:1:2", "00:1a-2b:3c:4d:5e", "gg:1a:2b:3c:4d:5e", ""):
        with pytest.raises(InvalidValue, match="mac"):
            devices.add(Device(key="bad", mac=text))
