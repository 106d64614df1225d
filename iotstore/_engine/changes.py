"""What a transaction changed in tracked kinds, handed over once: last before commit, and to observers after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Action: TypeAlias = Literal["insert", "update", "delete"]


@dataclass(frozen=True, slots=True)
class Change:
    """One changed record: its kind, its key, and its version after the change (before it, for a delete).

    The versions of one key only grow, whatever the order in which changes arrive: who applies them elsewhere
    skips those that are not newer than what is there.
    """

    kind: str
    key: tuple[Any, ...]
    version: int
    action: Action
