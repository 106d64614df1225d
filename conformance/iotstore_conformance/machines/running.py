"""Running a state machine deterministically, and comparing what store and model did."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from iotstore import StoreError
from iotstore_conformance.aborting import Abort
from iotstore_conformance.seeding import current_seed
from iotstore_conformance.stage import Effort

T = TypeVar("T")

_EXAMPLES = {"fast": 8, "full": 400}
_STEPS = {"fast": 20, "full": 50}


def run_machine(machine: Callable[[], RuleBasedStateMachine], effort: Effort) -> None:
    """Run a machine: the same histories every time under one seed, more and longer ones in the full tier."""
    if number := current_seed():
        machine = seed(number)(machine)  # wins over derandomize
    run_state_machine_as_test(
        machine,  # type: ignore[arg-type]  # it takes any factory, though typed for classes
        settings=settings(
            max_examples=_EXAMPLES[effort],
            stateful_step_count=_STEPS[effort],
            derandomize=True,
            database=None,
            deadline=None,
            # Opening a store is slow for hypothesis, and a history is large: neither is a fault.
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
            # A history of 20 steps can be read as it is; shrinking it would cost minutes.
            phases=(Phase.generate, Phase.shrink) if effort == "full" else (Phase.generate,),
        ),
    )


def outcome(work: Callable[[], T]) -> tuple[type[Exception], None] | tuple[None, T]:
    """The class of the library's error that *work* raises, or what it returns."""
    try:
        return None, work()
    except StoreError as error:
        return type(error), None


def undo(block: AbstractContextManager[Any]) -> None:
    """Roll an entered transaction back by an error; a transaction may hand that on, or swallow it."""
    error = Abort("the history goes back")
    with suppress(Abort):
        block.__exit__(Abort, error, None)
