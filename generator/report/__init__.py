"""The report on the last bake: what ran when, what determined its length, what was reused, and where the bytes are."""

from __future__ import annotations

from generator.report.model import Report, make_report

__all__ = ["Report", "make_report"]
