"""Checks of what was loaded: deliveries, days, visits and balances."""
