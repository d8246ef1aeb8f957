"""Figures, monitor, widgets."""
