"""A simulated home: the same seed and the same day always give the same devices, points, flows and alerts."""
