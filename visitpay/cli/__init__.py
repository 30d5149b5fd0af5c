"""The commands: arguments in, tables or JSON out."""
