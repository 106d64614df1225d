"""A register with reads, writes and compare-and-set: what happened at once, and whether an order explains it all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

Action: TypeAlias = Literal["read", "write", "cas"]


class State(NamedTuple):
    """What the register holds: its version, which every change raises by one, and its value."""

    version: int
    value: int


@dataclass(frozen=True, slots=True)
class Event:
    """One call on the register, from *start* to *end* on one clock.

    A "read" *found* a state. A "write" set *value* and found the state it made. A "cas" set *value* if the version
    was *expected*: it found the state it made, or None when it was refused.
    """

    who: int
    action: Action
    start: int
    end: int
    found: State | None
    value: int = 0
    expected: int = 0


def linearizable(events: Sequence[Event], initial: State) -> bool:
    """Whether the events have an order that keeps to real time and in which every answer is right.

    The search of Wing and Gong: take any event that began before every other open one ended, try it, go back when
    that leads nowhere. States that were tried before are not tried again.
    """
    ordered = sorted(events, key=lambda event: (event.start, event.end))
    everything = (1 << len(ordered)) - 1
    tried: set[tuple[int, State]] = set()
    open_: list[tuple[int, State]] = [(0, initial)]
    while open_:
        done, state = open_.pop()
        if done == everything:
            return True
        if (done, state) in tried:
            continue
        tried.add((done, state))
        first_end = min(event.end for at, event in enumerate(ordered) if not done >> at & 1)
        for at, event in enumerate(ordered):
            if event.start > first_end:
                break  # it began after another open one had ended
            if not done >> at & 1 and (after := _apply(event, state)) is not None:
                open_.append((done | 1 << at, after))
    return False


def _apply(event: Event, state: State) -> State | None:
    """The state after the event, or None where its answer is wrong in this state."""
    if event.action == "read":
        return state if event.found == state else None
    changed = State(state.version + 1, event.value)
    if event.action == "write":
        return changed if event.found == changed else None
    if state.version == event.expected:
        return changed if event.found == changed else None
    return state if event.found is None else None


def lost_updates(events: Sequence[Event], initial: State, final: State) -> int:
    """How many changes that were acknowledged the final version does not count; negative where it counts more."""
    changes = sum(event.action != "read" and event.found is not None for event in events)
    return changes - (final.version - initial.version)
