"""Numbers that say how good a map is."""
