"""From bytes to typed rows and rejects; it knows no database."""
