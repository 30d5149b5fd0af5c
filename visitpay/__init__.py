"""visitpay loads a hospital's daily VisitPay text files into a relational database."""
