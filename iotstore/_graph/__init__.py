"""The graph: edges from records or from an engine's own, and the walks over them, written once."""
