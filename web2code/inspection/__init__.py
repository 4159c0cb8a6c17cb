"""What a dataset holds, and what changed between two versions of it."""
