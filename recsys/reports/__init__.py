"""Reports: the results of a run as a page and as pictures, with computed numbers only."""

from recsys.reports.charts import build_charts, write_charts
from recsys.reports.coefficients import draw_coefficients, write_coefficients
from recsys.reports.family_gains import FamilyReport, write_family_report
from recsys.reports.pages import shortlist_results, write_report
from recsys.reports.reliability import draw_reliability, write_reliability
from recsys.reports.results import Example, Results
from recsys.reports.searches import SweepReport, write_sweep_report

__all__ = [
    "Example",
    "FamilyReport",
    "Results",
    "SweepReport",
    "build_charts",
    "draw_coefficients",
    "draw_reliability",
    "shortlist_results",
    "write_charts",
    "write_coefficients",
    "write_family_report",
    "write_reliability",
    "write_report",
    "write_sweep_report",
]
