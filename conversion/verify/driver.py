"""What the image asks of the machine's driver."""

from __future__ import annotations

import os
from typing import Iterator, Mapping

from conversion.verify.image import Image, Spec
from conversion.verify.rows import INFO, Row, judged

CHECK = "driver"


def rows(_image: Image, spec: Spec) -> Iterator[Row]:
    """The rows of this process' environment, which is the image's."""
    asked = spec.get("driver")
    if asked:
        yield from driver_rows(asked["require"], asked["oldest"], os.environ)


def driver_rows(requirement: str, oldest: str, environ: Mapping[str, str]) -> Iterator[Row]:
    """What the image asks of the machine's driver: for the new CUDA, not for the base's.

    Args:
        requirement: what NVIDIA_REQUIRE_CUDA must be where it is set. oldest: the driver, as ">=570.26"; "": not known.
    """
    name = "NVIDIA_REQUIRE_CUDA"
    needed = f"driver {oldest}, label io.image-uplift.driver; " if oldest else ""
    given = environ.get(name)
    if given:
        detail = f"{needed}NVIDIA_DISABLE_REQUIRE=1 lets a container start all the same"
        yield judged(CHECK, name, requirement, given, given == requirement, detail)
    else:
        detail = f"{needed}the base does not set it: a container starts on any driver, and torch says what it lacks"
        yield Row(CHECK, name, "", "not set", INFO, detail)
    able = environ.get("NVIDIA_DRIVER_CAPABILITIES", "all").split(",")
    if not {"all", "compute"}.intersection(able):
        detail = "the base's own, kept: containers get CUDA only where their users ask for compute"
        yield Row(CHECK, "NVIDIA_DRIVER_CAPABILITIES", "compute", ",".join(able), INFO, detail)
    for other in sorted(environ):
        if other.startswith("NVIDIA_REQUIRE_") and other != name:
            yield Row(CHECK, other, "", environ[other], INFO, "the base's own, kept: it must hold too")
