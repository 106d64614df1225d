"""SQLite, and the same work with `sqlite3` alone."""
