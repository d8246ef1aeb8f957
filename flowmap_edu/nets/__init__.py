"""Networks v(s, t, x)."""
