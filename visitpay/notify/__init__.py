"""Reports of a load to others: alerts, a dead man's switch, metrics; each part is optional."""
