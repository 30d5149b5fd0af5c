"""The landing place: which files it has, and how a file is read."""
