"""The JSON service answers with the store's records, and maps every error of the store to a status."""

from __future__ import annotations

import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

import iotstore

pytestmark = pytest.mark.once  # the README is followed on every interpreter

POINTS = [{"metric": "temperature", "time": f"2025-06-16T09:{minute:02}:00Z", "value": minute} for minute in range(60)]


@pytest.fixture
def app(example, monkeypatch: pytest.MonkeyPatch):
    """The module of the service, in its folder."""
    service = example("fastapi_service")
    monkeypatch.chdir(service.folder)
    spec = importlib.util.spec_from_file_location("fastapi_service_app", service.folder / "app.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fastapi_service_app", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def client(app):
    with TestClient(app.app) as opened:
        yield opened


def test_the_store_is_open_while_the_service_runs_and_closed_afterwards(app) -> None:
    with TestClient(app.app) as client:
        assert client.get("/health").status_code == 200
    with pytest.raises(iotstore.NotAllowed, match="closed"):
        app.app.state.store.devices.count()


def test_health_is_503_when_the_store_does_not_answer(app, client) -> None:
    app.app.state.store.close()

    answer = client.get("/health")

    assert answer.status_code == 503
    assert answer.json()["checks"]["answers"] == "failed"


def test_pages_hold_every_device_once(client) -> None:
    for number in range(25):
        assert client.put(f"/devices/d-{number:02}", json={"name": f"Device {number}"}).status_code == 200

    keys, after = [], None
    while True:
        page = client.get("/devices", params={"limit": 10, **({"after": after} if after else {})}).json()
        keys += [device["key"] for device in page["devices"]]
        after = page["next"]
        if after is None:
            break

    assert keys == [f"d-{number:02}" for number in range(25)]


def test_a_batch_repeated_at_the_same_time_is_stored_once(app, client) -> None:
    client.put("/devices/cam-1", json={})

    def send(_: int):
        return client.post("/devices/cam-1/points", json={"points": POINTS}, headers={"Idempotency-Key": "once"})

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(8)))

    assert [answer.status_code for answer in answers] == [200] * 8
    assert sorted(answer.json()["replayed"] for answer in answers) == [False] + [True] * 7
    assert app.app.state.store.telemetry.count("cam-1", "temperature") == 60
    other = client.post("/devices/cam-1/points", json={"points": []}, headers={"Idempotency-Key": "once"})
    assert (other.status_code, other.json()["error"]) == (409, "IdempotencyConflict")


def test_a_bad_row_is_named_and_nothing_is_stored(app, client) -> None:
    client.put("/devices/cam-1", json={})
    wrong = [*POINTS, {"metric": "", "time": "2025-06-16T09:00:00Z", "value": 1}]

    answer = client.post("/devices/cam-1/points", json={"points": wrong})

    assert answer.status_code == 422
    assert [row[:2] for row in answer.json()["rejected"]] == [[60, "metric"]]
    assert app.app.state.store.telemetry.count() == 0


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (iotstore.NotFound("device", "x"), 404),
        (iotstore.UnknownReference("nowhere", field="device"), 404),
        (iotstore.VersionConflict("device", "x", 1, 2), 409),
        (iotstore.NotAllowed("closed"), 409),
        (iotstore.Unsupported("SERIES", "duckdb", "no"), 501),
        (iotstore.InvalidValue("wrong", field="key"), 422),
        (iotstore.Busy("later"), 503),
        (iotstore.Unreachable("gone"), 503),
        (iotstore.StorageFull("full"), 507),
        (iotstore.Corrupt("damaged"), 500),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_an_error_of_the_store_has_its_status(app, error: iotstore.StoreError, status: int) -> None:
    def broken() -> None:
        raise error

    app.app.dependency_overrides[app.the_store] = broken
    with TestClient(app.app) as client:
        answer = client.get("/devices")

    assert answer.status_code == status
    assert answer.json() == {"error": type(error).__name__, "message": str(error)}
    assert ("Retry-After" in answer.headers) == (status == 503)
    if status == 503:
        assert error.retryable


def test_what_the_service_does_not_know_of_a_device_is_refused(client) -> None:
    assert client.put("/devices/cam-1", json={"colour": "red"}).status_code == 422
    assert client.delete("/devices/cam-1").status_code == 404
