"""Backups of the past: what a released version wrote is read for ever."""

from __future__ import annotations

import json

import iotstore
from iotstore import Alert
from iotstore.backend import Capability
from iotstore_conformance.golden import KEPT, as_then, goldens, held_by
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import Stage


@clause("BAK-014", profile="backup", needs=[Capability.PERSISTENCE])
def old_backups_are_read(stage: Stage) -> None:
    """A portable backup that a released version wrote MUST be restored by every later one, with every record, point
    and counter that it holds."""
    for golden in goldens():
        points = golden.part == "points"
        if points and not stage.store.capabilities.has(Capability.SERIES):
            continue
        path, place, then = golden.copied(stage.folder()), stage.new_place(), golden.held
        iotstore.restore(path, stage.url(place))
        restored = stage.open(place, kinds=[KEPT])
        now = as_then(held_by(restored, points=points), then)
        # As texts: 1, 1.0 and true are equal, and three values.
        assert {name: json.dumps(one, sort_keys=True) for name, one in now.items()} == {
            name: json.dumps(one, sort_keys=True) for name, one in then.items()
        }
        ids = {alert["id"] for alert in then["alert"]}
        assert restored.alerts.raise_(Alert(kind="test", title="t")).id not in ids
