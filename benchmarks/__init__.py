"""Measurements beside what people use today: `make bench`."""
