"""visitpay loads a hospital's daily VisitPay text files into a relational database."""

__version__ = "0.1.0"

DEFAULT_URL = "sqlite:///visitpay.db"
"""The database that is used when none is named."""
