"""What assignments give to their students: the maps and batches that depend on the student's number."""
