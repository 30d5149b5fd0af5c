"""Programs for those who work on visitpay."""
