"""Files: written whole or not at all, hashed, found by name."""
