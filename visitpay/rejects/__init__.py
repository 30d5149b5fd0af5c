"""The quarantine: rows that were rejected, with file, line and reason, until they close."""
