"""A run's report: one HTML file that needs nothing else."""

from web2code.report.page import write_report

__all__ = ["write_report"]
