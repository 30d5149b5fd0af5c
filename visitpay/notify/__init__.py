"""Telling others of a load: alerts, a dead man's switch, metrics; each part is optional."""
