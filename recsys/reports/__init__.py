"""What was measured, as a page to look at and as pictures: nothing is printed that was not computed."""

from recsys.reports.drawings import charts, write_charts
from recsys.reports.pages import shortlisted, write_report
from recsys.reports.results import Example, Results
from recsys.reports.searches import Search, write_search

__all__ = ["Example", "Results", "Search", "charts", "shortlisted", "write_charts", "write_report", "write_search"]
