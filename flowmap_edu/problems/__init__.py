"""What is to be learned: data and base."""
