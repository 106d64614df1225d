"""Every collection of a store: streamed, digested, loaded and pruned; the portable format and its manifest."""
