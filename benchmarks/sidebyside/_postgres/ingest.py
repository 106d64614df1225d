"""Bulk ingest into PostgreSQL: where all points are new, and where a tenth of them was there before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from sidebyside import workload
from sidebyside.engine import Engine
from sidebyside.ingest import compare_points
from sidebyside.measure import Measured
from sidebyside.stage import Sizes, Stage, staged

if TYPE_CHECKING:  # the catalogue is read where there is no driver
    from sidebyside._postgres.points import PostgresPoints

_AGAIN: Final = 0.1


def _by_hand(stage: Stage) -> PostgresPoints:
    return cast("PostgresPoints", stage.points)


def points_clean(engine: Engine, sizes: Sizes) -> Measured:
    """Write Point objects of 100 series, all of them new, in transactions of 10,000."""
    with staged(engine, sizes) as stage:
        measured = compare_points(sizes, stage, workload.fresh_points(sizes.devices), stage.points.write)
        stage.check_same("iotstore_latest")
        return measured


def points_copied(engine: Engine, sizes: Sizes) -> Measured:
    """The same; by hand nothing but the points is written: no latest value of a series follows."""
    with staged(engine, sizes) as stage:
        return compare_points(sizes, stage, workload.fresh_points(sizes.devices), _by_hand(stage).write_bare)


def points_again(engine: Engine, sizes: Sizes) -> Measured:
    """Write Point objects in transactions of 10,000, of which each tenth was written before."""
    with staged(engine, sizes) as stage:
        source = workload.fresh_points(sizes.devices, again=_AGAIN)
        measured = compare_points(sizes, stage, source, _by_hand(stage).write_staged)
        stage.check_same("iotstore_latest")
        return measured
