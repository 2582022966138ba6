"""Reports: plain dicts and numpy arrays in; console tables, one still picture and one offline HTML page out."""

from mlnn.report.audit import audit_page, audits_page
from mlnn.report.console import curves_table, growth_table, verdict_panel
from mlnn.report.console_audit import audit_table, certificate_panel
from mlnn.report.page import comparison_page, curves_page, growth_page, train_page
from mlnn.report.still import growth_png

__all__ = [
    "audit_page",
    "audit_table",
    "audits_page",
    "certificate_panel",
    "comparison_page",
    "curves_page",
    "curves_table",
    "growth_page",
    "growth_png",
    "growth_table",
    "train_page",
    "verdict_panel",
]
