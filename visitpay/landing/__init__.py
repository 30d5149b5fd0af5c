"""The landing place: what lies in it, and how a file is read from it."""
