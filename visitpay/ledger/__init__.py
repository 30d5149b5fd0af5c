"""The ledger: what was consumed, and what came of it."""
