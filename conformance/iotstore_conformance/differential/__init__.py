"""One history on two stores: what they answer is compared, and the first difference is shrunk to a script."""

from __future__ import annotations

from iotstore_conformance.differential.running import Difference, compare, replay
from iotstore_conformance.differential.steps import Ask, Made, Plants, Step, Version

__all__ = ["Ask", "Difference", "Made", "Plants", "Step", "Version", "compare", "replay"]
