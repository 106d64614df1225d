"""The clauses, one module for each promise; importing a module registers its clauses."""
