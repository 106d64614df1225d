"""How a projection is: for people, for monitoring, for the store's health."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from iotstore._projection.linking import judge
from iotstore._projection.sides import Sides
from iotstore._waist.contract import Check
from iotstore.errors import StoreError

State: TypeAlias = Literal["new", "building", "live", "rebuild", "unreachable", "detached"]
_STATES: Final[Mapping[str, State]] = {
    "build": "new",
    "resume": "building",
    "linked": "live",
    "replay": "live",
    "rebuild": "rebuild",
}
#: Changes that may wait, and seconds that they may, before a health check warns.
WARN_RECORDS: Final = 10_000
WARN_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """How a projection is.

    *state* is ``live``; ``new`` or ``building`` while it is made; ``rebuild`` when it does not belong to the primary
    any more (*reason* says why); ``unreachable``; or ``detached``. While it is not live, the primary answers.
    *waiting* changes lag behind, the oldest for *lag_seconds*. *projector* is who writes to it; *trouble* is what
    keeps the thread of this process from doing so.
    """

    place: str
    state: State
    reason: str | None
    waiting: int
    lag_seconds: float
    dead_letters: int
    batches: int
    applied: int
    applied_at: datetime | None
    projector: str | None
    trouble: str | None


def status_of(sides: Sides, trouble: str | None) -> ProjectionStatus:
    """How it is by now. It never raises because the projection is away."""
    attachment = sides.attaching.read()
    lag, letters = sides.queue.lag(), sides.queue.count_letters()
    told: dict[str, Any] = {"batches": 0, "applied": 0, "applied_at": None, "projector": None}
    state: State = "detached"
    reason: str | None = None
    if attachment is not None:
        try:
            checkpoint = sides.target.checkpoint()
        except StoreError as error:
            state, reason = "unreachable", str(error)
        else:
            link = judge(attachment, checkpoint, sides.target.shape)
            state, reason = _STATES[link.state], link.reason or None
            if checkpoint is not None:
                told = {"batches": checkpoint.batch, "applied": checkpoint.applied, "applied_at": checkpoint.time}
                told["projector"] = checkpoint.holder or None
    return ProjectionStatus(
        place=sides.target.place,
        state=state,
        reason=reason,
        waiting=lag.records,
        lag_seconds=lag.seconds,
        dead_letters=letters,
        trouble=trouble,
        **told,
    )


def metrics_of(now: ProjectionStatus) -> dict[str, float]:
    """Its numbers, by name."""
    return {
        "projection_live": float(now.state == "live"),
        "projection_lag_records": float(now.waiting),
        "projection_lag_seconds": now.lag_seconds,
        "projection_dead_letters": float(now.dead_letters),
        "projection_batches_total": float(now.batches),
        "projection_applied_total": float(now.applied),
    }


def health_of(now: ProjectionStatus, *, broken: bool = False) -> list[Check]:
    """Lines for the store's health. Trouble of a projection is a warning, for the primary answers; so is a projector
    of this process that is *broken* by an error of its own."""
    behind = f"{now.waiting} changes behind, the oldest for {now.lag_seconds:.0f} s"
    late = now.waiting >= WARN_RECORDS or now.lag_seconds >= WARN_SECONDS
    fine = now.state in ("live", "new", "building")
    said = f"{now.state}, {behind}" + (f": {now.reason}" if now.reason else "")
    checks = [Check("projection", "warning" if late or not fine else "ok", said)]
    if broken:
        checks.append(Check("projector", "warning", f"stopped: {now.trouble}"))
    if now.dead_letters:
        refused = f"{now.dead_letters} records were refused; see: iotstore graph status, iotstore graph replay"
        checks.append(Check("dead letters", "warning", refused))
    return checks
