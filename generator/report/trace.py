"""The report as a trace in Chrome's event format, for chrome://tracing and Perfetto: one track per target. Pure.

https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from generator.report.model import Report

_MICROSECONDS = 1_000_000


def as_trace(report: Report) -> str:
    """Write the trace; steps on the critical path are of the category ``critical``."""
    threads = {line.name: number for number, line in enumerate(report.targets, start=1)}
    events: list[dict[str, Any]] = [_meta("process_name", 0, {"name": f"{report.recipe}: bake of {report.started}"})]
    for name, number in threads.items():
        events.append(_meta("thread_name", number, {"name": name}))
        events.append(_meta("thread_sort_index", number, {"sort_index": number}))
    critical = report.critical
    for span in report.spans:
        on_path = (span.target, span.name) in critical
        events.append(
            {
                "name": span.name,
                "cat": ",".join([span.kind, *(["critical"] if on_path else [])]),
                "ph": "X",
                "pid": 1,
                "tid": threads[span.target],
                "ts": round(span.start * _MICROSECONDS),
                "dur": round(span.seconds * _MICROSECONDS),
                "args": {"target": span.target, "state": span.state, "cached": span.cached, "critical": on_path},
            }
        )
    return json.dumps({"displayTimeUnit": "ms", "traceEvents": events}, indent=1, ensure_ascii=False)


def _meta(name: str, thread: int, values: dict[str, object]) -> dict[str, Any]:
    return {"name": name, "ph": "M", "pid": 1, "tid": thread, "args": values}
