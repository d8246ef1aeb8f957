"""Every method at one budget, what a run costs, and how fast a step is."""
