"""The version of visitpay."""

__version__ = "0.1.0"
