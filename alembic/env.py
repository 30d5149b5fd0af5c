"""Alembic's environment: all of it is in visitpay, for `visitpay migrate` as well."""

from visitpay.migrations.run import environment

environment()
