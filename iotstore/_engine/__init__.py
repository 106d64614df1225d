"""The engine: which session a thread is in, transactions, collections, receipts, ids, migrations."""
