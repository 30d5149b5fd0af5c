"""The run: every file that was not loaded before, each in one transaction."""
