"""What people ask: how the feed stands, where a row went, what to do."""
