"""Pages to look at, each one HTML file that needs nothing else: a run's report, samples, curves of selection."""

from web2code.report.page import write_report

__all__ = ["write_report"]
