"""Telemetry mathematics: functions over buckets of points, and fills. Pure computation."""
