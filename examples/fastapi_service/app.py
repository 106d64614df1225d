"""A JSON service over a store: devices, their points, and a health check. `uvicorn app:app` runs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import Depends, FastAPI, Header, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool

import iotstore
from iotstore import Device, Point, Store


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One store for the life of the service, opened by its iotstore.toml."""
    app.state.store = await run_in_threadpool(iotstore.open)
    yield
    await run_in_threadpool(app.state.store.close)


app = FastAPI(title="Home", lifespan=lifespan)


def the_store(request: Request) -> Store:
    """The store of the service. Its calls block, so endpoints are plain functions: each runs in a thread."""
    store: Store = request.app.state.store
    return store


TheStore = Annotated[Store, Depends(the_store)]

# What the store refuses, as HTTP says it; the first that fits counts, so the special come before the general.
STATUS: list[tuple[type[iotstore.StoreError], int]] = [
    (iotstore.NotFound, 404),
    (iotstore.UnknownReference, 404),
    (iotstore.Conflict, 409),
    (iotstore.NotAllowed, 409),
    (iotstore.Unsupported, 501),
    (iotstore.Refused, 422),
    (iotstore.Busy, 503),
    (iotstore.Unreachable, 503),
    (iotstore.StorageFull, 507),
    (iotstore.StoreError, 500),
]


@app.exception_handler(iotstore.StoreError)
def refused(_request: Request, error: Exception) -> JSONResponse:
    """An error of the store. Its text names the value and the remedy, and never holds a secret."""
    status = next(code for kind, code in STATUS if isinstance(error, kind))
    content: dict[str, Any] = {"error": type(error).__name__, "message": str(error)}
    if isinstance(error, iotstore.BatchRejected):
        content["rejected"] = [[row.index, row.field, row.reason] for row in error.rejected]
    return JSONResponse(content, status, headers={"Retry-After": "1"} if status == 503 else None)


class NewDevice(BaseModel):
    """What a client may say of a device; what it leaves out stays as it is."""

    model_config = ConfigDict(extra="forbid")
    name: str | None = None
    kind: str | None = None
    ip: str | None = None


class Reading(BaseModel):
    """One value at one time."""

    metric: str
    time: datetime
    value: float


class Readings(BaseModel):
    """A batch."""

    points: list[Reading]


def plain(record: Any) -> dict[str, Any]:
    """A record as JSON, without what nobody has said."""
    fields: dict[str, Any] = msgspec.to_builtins(record)
    return {name: value for name, value in fields.items() if value not in (None, []) and name != "version"}


@app.get("/health")
def health(store: TheStore) -> JSONResponse:
    """200 while the store answers, 503 when it does not; a load balancer needs no more."""
    seen = store.admin.health()
    checks = {check.name: check.status for check in seen.checks}
    return JSONResponse({"status": seen.status, "checks": checks}, 200 if seen else 503)


@app.put("/devices/{key}")
def put_device(store: TheStore, key: str, said: NewDevice) -> dict[str, Any]:
    """Store a device, or fill in what is known of it."""
    return plain(store.devices.put(Device(key=key, **said.model_dump())))


@app.get("/devices")
def list_devices(
    store: TheStore, limit: Annotated[int, Query(ge=1, le=500)] = 100, after: str | None = None
) -> dict[str, Any]:
    """A page of devices; *next* is the *after* of the next page."""
    page = store.devices.page(limit=limit, after=after)
    return {"devices": [plain(device) for device in page.items], "next": page.next}


@app.delete("/devices/{key}", status_code=204)
def delete_device(store: TheStore, key: str) -> None:
    """Delete a device that has no telemetry."""
    store.devices.delete(key)


@app.post("/devices/{key}/points")
def write_points(
    store: TheStore, key: str, said: Readings, idempotency_key: Annotated[str | None, Header()] = None
) -> dict[str, Any]:
    """Store readings, all or none. A repeated request with the same Idempotency-Key changes nothing."""
    points = [Point(key, one.metric, one.time, one.value) for one in said.points]
    receipt = store.telemetry.write(points, idempotency_key=idempotency_key)
    return {"stored": receipt.stored, "duplicates": receipt.duplicates, "replayed": receipt.replayed}


@app.get("/devices/{key}/{metric}/hourly")
def hourly(store: TheStore, key: str, metric: str, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """Mean and maximum of every hour; gaps are null."""
    buckets = store.telemetry.aggregate(
        key, metric, every="1h", start=start, end=end, functions=["mean", "max"], fill="null"
    )
    return [{"start": bucket.start, **bucket.values} for bucket in buckets]
