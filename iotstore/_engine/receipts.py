"""Receipts: what a batch did, exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from iotstore.errors import BatchRejected, InvalidValue, Rejected

OnInvalid: TypeAlias = Literal["raise", "reject"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a batch did. *stored* + *duplicates* + the number of *rejected* rows is the size of the batch.

    *replaced* counts those of *stored* that took the place of another record or value. *ids* are the generated ids of
    stored records in batch order, where asked for. *replayed* says that an earlier call with the same idempotency
    key did the work, and this is its receipt.
    """

    stored: int
    duplicates: int = 0
    rejected: tuple[Rejected, ...] = ()
    replaced: int = 0
    ids: tuple[int, ...] | None = None
    replayed: bool = False

    @property
    def total(self) -> int:
        """How many rows the batch had."""
        return self.stored + self.duplicates + len(self.rejected)

    def as_json(self) -> dict[str, Any]:
        """The receipt as a JSON value, for its idempotency key."""
        return {
            "stored": self.stored,
            "duplicates": self.duplicates,
            "rejected": [[row.index, row.field, row.reason] for row in self.rejected],
            "replaced": self.replaced,
            "ids": None if self.ids is None else list(self.ids),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Receipt:
        """The receipt that ``as_json`` wrote, as a replay."""
        return cls(
            stored=value["stored"],
            duplicates=value["duplicates"],
            rejected=tuple(Rejected(*row) for row in value["rejected"]),
            replaced=value["replaced"],
            ids=None if value["ids"] is None else tuple(value["ids"]),
            replayed=True,
        )


def check_on_invalid(on_invalid: str) -> None:
    """Refuse anything but the two words."""
    if on_invalid not in ("raise", "reject"):
        raise InvalidValue(f'{on_invalid!r} is neither "raise" nor "reject"', field="on_invalid")


def settle(rejected: Sequence[Rejected], total: int, on_invalid: OnInvalid) -> tuple[Rejected, ...]:
    """The rejected rows for a receipt, in batch order; raises BatchRejected when the caller wants all or nothing."""
    if rejected and on_invalid == "raise":
        raise BatchRejected(sorted(rejected, key=lambda row: row.index), total)
    return tuple(sorted(rejected, key=lambda row: row.index))
