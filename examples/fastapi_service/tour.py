"""What the service answers: a tour through the application, without a server."""

from typing import Any

from app import app
from fastapi.testclient import TestClient

MORNING = "2025-06-16T09:00:00Z"
POINTS = [
    {"metric": "temperature", "time": "2025-06-16T09:10:00Z", "value": 20.5},
    {"metric": "temperature", "time": "2025-06-16T11:10:00Z", "value": 21.5},
]


def main() -> None:
    """Ask, and print what comes back."""
    with TestClient(app) as client:

        def ask(method: str, path: str, **what: Any) -> None:
            answer = client.request(method, path, **what)
            print(f"{method} {path}\n  {answer.status_code} {answer.text}")

        ask("PUT", "/devices/cam-1", json={"name": "Front camera", "ip": "192.168.1.20"})
        ask("PUT", "/devices/cam-1", json={"kind": "camera"})
        ask("PUT", "/devices/cam-1", json={"ip": "192.168.1.256"})
        ask("GET", "/devices?limit=10")
        batch = {"json": {"points": POINTS}, "headers": {"Idempotency-Key": "monday-9"}}
        ask("POST", "/devices/cam-1/points", **batch)
        ask("POST", "/devices/cam-1/points", **batch)
        ask("POST", "/devices/cam-2/points", json={"points": POINTS})
        ask("GET", f"/devices/cam-1/temperature/hourly?start={MORNING}&end=2025-06-16T12:00:00Z")
        ask("GET", f"/devices/cam-1/pressure/hourly?start={MORNING}&end=2025-06-16T12:00:00Z")
        ask("DELETE", "/devices/cam-1")
        print(f"GET /health\n  {client.get('/health').status_code}")


if __name__ == "__main__":
    main()
