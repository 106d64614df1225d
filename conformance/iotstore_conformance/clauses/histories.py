"""Histories: whatever the sequence of calls, the store answers as the reference model does."""

from __future__ import annotations

from iotstore.backend import Capability
from iotstore_conformance.machines.records import RecordMachine
from iotstore_conformance.machines.relations import RelationMachine
from iotstore_conformance.machines.running import run_machine
from iotstore_conformance.machines.telemetry import TelemetryMachine
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import Stage


@clause("MOD-001", deep=True)
def records_follow_the_model(stage: Stage) -> None:
    """Any history of changes, transactions, savepoints and questions over records MUST give what the model gives."""
    run_machine(lambda: RecordMachine(stage), stage.effort)


@clause("MOD-002", profile="telemetry", needs=[Capability.SERIES], deep=True)
def telemetry_follows_the_model(stage: Stage) -> None:
    """Any history of writes, deletions, transactions and questions over points MUST give what the model gives."""
    run_machine(lambda: TelemetryMachine(stage), stage.effort)


@clause("MOD-003", profile="relationships", deep=True)
def relations_follow_the_model(stage: Stage) -> None:
    """Any history of records, of relations written and taken back, of transactions and of questions about the graph
    MUST give what the model gives."""
    run_machine(lambda: RelationMachine(stage), stage.effort)
