"""Scores of answers: numbers, lists and strings in, numbers out."""
