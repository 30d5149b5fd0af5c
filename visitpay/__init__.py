"""visitpay loads a hospital's daily VisitPay text files into a relational database."""

__version__ = "0.1.0"
