"""Whether all is well: the one place that decides what needs a person."""
