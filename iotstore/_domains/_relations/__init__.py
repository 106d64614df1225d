"""The parts of the relationships domain."""
