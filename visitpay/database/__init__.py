"""The database: engines, the run lock, transactions, writes."""
