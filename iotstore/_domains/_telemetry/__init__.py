"""Telemetry, piece by piece: checking, storing, finding series, reading and aggregating points."""
