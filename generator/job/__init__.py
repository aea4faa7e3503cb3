"""The job: what one bake is made from, complete when it is made, and how it is run."""

from generator.job.bundle import Bundle
from generator.job.held import held
from generator.job.job import Job, Rendered
from generator.job.preflight import Inherited, Preflight
from generator.job.reuse import Reuse, Wheel, WheelLookup
from generator.job.run import clear_verification, run

__all__ = [
    "Bundle",
    "Inherited",
    "Job",
    "Preflight",
    "Rendered",
    "Reuse",
    "Wheel",
    "WheelLookup",
    "clear_verification",
    "held",
    "run",
]
