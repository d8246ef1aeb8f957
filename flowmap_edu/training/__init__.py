"""The training loop and runs on disk."""
