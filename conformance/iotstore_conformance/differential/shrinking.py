"""Making a history smaller while it still shows the difference: fewer steps first, then plainer ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from iotstore_conformance.differential.steps import Step
from iotstore_conformance.filters import Both, Either, Opposite
from iotstore_conformance.model import changed

# Each try opens two stores: what is small enough by then is small enough.
_TRIES: Final = 600


def shrink(steps: Sequence[Step], shows: Callable[[list[Step]], bool]) -> list[Step]:
    """The smallest history found for which *shows* is true, as it is for *steps*. Deterministic if *shows* is."""
    budget = iter(range(_TRIES))

    def try_out(candidate: list[Step]) -> bool:
        return next(budget, None) is not None and shows(candidate)

    found = _fewer(list(steps), try_out)
    while (plainer := _plainer(found, try_out)) is not None:
        found = plainer
    return _fewer(found, try_out)


def _fewer(steps: list[Step], shows: Callable[[list[Step]], bool]) -> list[Step]:
    size = max(1, len(steps) // 2)
    while True:
        at = max(0, len(steps) - size)
        before = len(steps)
        while steps:
            candidate = steps[:at] + steps[at + size :]
            if shows(candidate):
                steps = candidate
            if at == 0:
                break
            at = max(0, min(at, len(steps)) - size)
        if size == 1 and len(steps) == before:
            return steps
        size = max(1, size // 2)


def _plainer(steps: list[Step], shows: Callable[[list[Step]], bool]) -> list[Step] | None:
    """The history with one step made plainer; None when no step can be."""
    for at, step in enumerate(steps):
        for candidate in _plainer_steps(step):
            if shows(history := [*steps[:at], candidate, *steps[at + 1 :]]):
                return history
    return None


def _plainer_steps(step: Step) -> Iterator[Step]:
    for name in step.options:
        yield Step(step.call, *step.args, **{key: value for key, value in step.options.items() if key != name})
    for at, value in enumerate(step.args):
        for smaller in _smaller(value):
            yield Step(step.call, *step.args[:at], smaller, *step.args[at + 1 :], **step.options)
    for name, value in step.options.items():
        for smaller in _smaller(value):
            yield Step(step.call, *step.args, **{**step.options, name: smaller})


def _smaller(value: Any) -> Iterator[object]:
    if isinstance(value, list):
        for at, one in enumerate(value):
            yield [*value[:at], *value[at + 1 :]]
            yield from ([*value[:at], smaller, *value[at + 1 :]] for smaller in _smaller(one))
    elif isinstance(value, Both | Either):
        yield from (value.left, value.right)
    elif isinstance(value, Opposite):
        yield value.part
    elif isinstance(value, Mapping):
        yield from ({key: one for key, one in value.items() if key != name} for name in value if len(value) > 1)
    elif hasattr(type(value), "__struct_fields__"):
        names, defaults = value.__struct_fields__, value.__struct_defaults__
        for name, default in zip(reversed(names), reversed(defaults), strict=False):
            if isinstance(default, bool | int | str | frozenset | None) and getattr(value, name) != default:
                yield changed(value, **{name: default})
