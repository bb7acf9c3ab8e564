"""A small HTTP scorer."""
