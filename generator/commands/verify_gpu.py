"""Runs ``conversion.gpu`` in an image, on a GPU that the engine gives: the rows of ``verify --gpu``."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bake.engine import facts
from bake.engine.captured import Captured, NotRun, run_captured
from bake.engine.container import Mount, binds, devices
from bake.engine.gpu_access import Access, access_of
from bake.errors import EnvironmentUnfit, VerificationFailed
from generator.verification.report import parse_report

if TYPE_CHECKING:
    from generator.job import Job
    from generator.verification.report import VerificationReport

SPEC = Path("contexts/verify/verify.json")
TIMEOUT = 3600  # seconds for all checks; each part of them has a limit of its own
START_TIMEOUT = 120  # seconds for the engine's other answers; a first start may load the driver
LABEL = "io.image-uplift.verify"
REMEDY = (
    "install the NVIDIA Container Toolkit (package nvidia-container-toolkit), run "
    "`nvidia-ctk runtime configure --runtime=docker` and restart the engine; "
    "verify without --gpu needs no GPU"
)


def require(image: str) -> None:
    """Make sure, before anything starts, that the engine can give a GPU and holds the image.

    Raises:
        EnvironmentUnfit: it can't, or doesn't; the message says what to install or do.
    """
    client = facts.connect()
    try:
        require_access(access_of(client), client.info())
        if facts.image_facts(client, image) is None:
            raise EnvironmentUnfit(
                "the image is not on the engine, so it can't run on a GPU",
                where=image,
                remedy=f"bake it without --push, or run `docker pull {image}`",
            )
    finally:
        client.close()


def require_access(access: Access, info: dict[str, Any]) -> None:
    """Make sure that the engine has a way to give GPUs.

    Raises:
        EnvironmentUnfit: no NVIDIA runtime, no CDI device, no hook.
    """
    if access is Access.NONE:
        runtimes = ", ".join(sorted(info.get("Runtimes") or ())) or "none"
        raise EnvironmentUnfit(
            f"the engine can't give containers a GPU: it has no NVIDIA runtime (runtimes: {runtimes}) and no CDI "
            "device of NVIDIA",
            where="--gpu",
            remedy=REMEDY,
        )


def check(job: Job, image: str) -> VerificationReport:
    """Run the checks in a container without network and give their report.

    Raises:
        EnvironmentUnfit: the engine could not start the container.
        VerificationFailed: the checks ended without a report.
    """
    job.reporter.note(f"checks on the GPU: {image}")
    client = facts.connect()
    client.api.timeout = START_TIMEOUT
    try:
        request = container(
            access_of(client), python=f"{job.recipe.base.prefix}/bin/python", spec=(job.folder / SPEC).resolve()
        )
        captured = run_captured(client, image, request, timeout=TIMEOUT)
    except NotRun as error:
        raise not_run(str(error), image) from None
    finally:
        client.close()
    return read(captured, image=image)


def container(access: Access, *, python: str, spec: Path) -> dict[str, Any]:
    """What the container is made of, as docker's SDK takes it."""
    scripts = Path(str(resources.files("conversion")))
    mounts = (
        Mount(source=scripts, target="/uplift/conversion", read_only=True),
        Mount(source=spec, target="/uplift/verify.json", read_only=True),
    )
    return {
        "entrypoint": [python],
        "command": ["-m", "conversion.gpu", "--spec", "/uplift/verify.json"],
        "working_dir": "/",
        "user": "0",  # the mounted files may be this user's alone, and an image may end as another one
        "network_mode": "none",
        "init": False,
        "labels": {LABEL: "gpu"},
        "device_requests": devices(access),
        "environment": {
            "PYTHONPATH": "/uplift",
            "PYTHONDONTWRITEBYTECODE": "1",
            "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",  # an image may ask for other ones
        },
        "mounts": binds(mounts),
    }


def not_run(said: str, image: str) -> EnvironmentUnfit:
    """The failure of an engine that could not run the container, with what to do about it."""
    about_gpus = "could not select device driver" in said or "nvidia" in said.lower() or "CDI" in said
    return EnvironmentUnfit(
        f"the engine could not run the checks on a GPU: {said}",
        where=image,
        remedy=REMEDY if about_gpus else "mend what the engine says; it has to run on this machine, to see its files",
    )


def read(captured: Captured, *, image: str) -> VerificationReport:
    """The report on the last line of stdout.

    Raises:
        VerificationFailed: there is none; the message has the last words of the container.
    """
    try:
        report = parse_report(captured.stdout.strip().splitlines()[-1], image=image)
    except (IndexError, ValueError):
        report = None
    if report is None or not report.rows:
        last = " / ".join([line for line in captured.stderr.strip().splitlines() if line][-3:]) or "it said nothing"
        raise VerificationFailed(
            f"the checks on the GPU ended without a report (exit status {captured.status}): {last}",
            where=image,
            remedy="run the image by hand with `docker run --gpus all`, and see what it says",
        )
    return report
