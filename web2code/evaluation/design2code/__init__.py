"""Design2Code's automatic scores of a rendered page against its reference (arXiv 2403.03163)."""
