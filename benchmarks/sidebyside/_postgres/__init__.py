"""PostgreSQL, and the same work with `psycopg` alone."""
