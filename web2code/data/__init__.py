"""Training data: readers of public datasets, builders of new parts, and how samples are stored."""
