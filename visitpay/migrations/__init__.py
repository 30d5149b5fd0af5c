"""Migrations: running them, and what is asked of whoever writes one."""
