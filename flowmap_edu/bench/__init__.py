"""Every method at one budget, and what a run costs."""
