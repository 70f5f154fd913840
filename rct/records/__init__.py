"""From an agency's records of incidents to a panel."""

from rct.records.panel_from_records import build_panel, records_problems

__all__ = ["build_panel", "records_problems"]
