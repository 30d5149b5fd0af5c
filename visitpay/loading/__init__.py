"""The run: every file that was not consumed before, each in one transaction."""
