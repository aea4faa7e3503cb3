"""Runs the uplifted image as its users do: checks all that it needs first, then hands over to the container."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from bake.engine.container import LABEL, ContainerRequest, Mount, run_container
from bake.engine.facts import connect, image_facts
from bake.engine.gpu_access import Access, access_of
from bake.errors import EnvironmentUnfit, UsageError
from bake.reference import parse_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from generator.console.reporter import Reporter
    from generator.recipe import Recipe
    from generator.recipe.model import Run
    from generator.resolve.facts import Facts

# What shells, tini and Docker agree on.
_STATUSES = {
    126: "its program can't be executed",
    127: "its program was not found",
    137: "it was killed, as when memory runs out",
    139: "it crashed (segmentation fault)",
}
_DEVICE = re.compile(r"auto|cpu|\d+(?:,\d+)*")
_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What the user asked of one run; ``arguments`` are passed through as they are."""

    input: Path | None = None
    output: Path | None = None
    license: Path | None = None
    device: str = "auto"
    image: str | None = None
    resume: bool = False
    arguments: tuple[str, ...] = field(default=())


def run(reporter: Reporter, recipe: Recipe, facts: Facts, options: RunOptions, *, dry_run: bool) -> int:
    """Run the image; gives the container's exit status. A dry run prints the same as a ``docker run`` command.

    Raises:
        UsageError: a path or device that can't be. EnvironmentUnfit: engine, image or GPU are not there.
        Interrupted: Ctrl-C; the container is stopped and removed.
    """
    if recipe.run is None:
        raise UsageError(
            f"the recipe {recipe.name} does not say how its image is run",
            where="[run]",
            remedy="add a section [run], or use docker run",
        )
    mounts = _mounts(recipe.run, options)
    _remark(reporter, options)
    client = connect()
    try:
        image = options.image or facts.image
        parse_reference(image, where="--image")
        if image_facts(client, image) is None:
            raise EnvironmentUnfit(
                "the image is not on this engine",
                where=image,
                remedy=f"`docker pull {image}` where it was pushed, or `bake` it here",
            )
        gpu, device = _gpu(reporter, partial(access_of, client), recipe.run, options.device)
        request = _request(recipe, options, image=image, mounts=mounts, gpu=gpu, device=device)
        if dry_run:
            reporter.data(shlex.join(request.as_command()))
            return 0
        _make_output(options)
        status = run_container(client, request)
    finally:
        client.close()
    if status:
        why = f": {_STATUSES[status]}" if status in _STATUSES else ""
        reporter.note(f"the container ended with status {status}{why}; its output above says more")
    return status


def _mounts(run: Run, options: RunOptions) -> tuple[Mount, ...]:
    """Check the paths, all of them at once."""
    wrong: list[str] = []
    if options.input is None or not options.input.is_dir():
        wrong.append(f"--input: {_what(options.input, 'folder')}; give the folder with the data set (BIDS)")
    if options.output is None or (options.output.exists() and not options.output.is_dir()):
        wrong.append(f"--output: {_what(options.output, 'folder')}; give a folder for the results")
    if run.license_ and (options.license is None or not options.license.is_file()):
        wrong.append(f"--license: {_what(options.license, 'file')}; give the licence file (FreeSurfer's license.txt)")
    if not _DEVICE.fullmatch(options.device):
        wrong.append(f"--device: {options.device!r} is no device; give a number such as 0, cpu or auto")
    if wrong:
        raise UsageError("\n  ".join(["the run can't start:", *wrong]), remedy="mend the options named above")
    rows = [(options.input, run.input, True), (options.output, run.output, False)]
    if run.license_:
        rows.append((options.license, run.license_, True))
    return tuple(
        Mount(source=source.resolve(), target=target, read_only=fixed) for source, target, fixed in rows if source
    )


def _what(path: Path | None, kind: str) -> str:
    if path is None:
        return "missing"
    return f"{path} is no {kind}" if path.exists() else f"{path} does not exist"


def _remark(reporter: Reporter, options: RunOptions) -> None:
    if options.input is not None and not (options.input / "dataset_description.json").is_file():
        reporter.warning(f"{options.input} has no dataset_description.json, which every BIDS data set has")
    if options.license is not None and not options.license.stat().st_size:
        reporter.warning(f"{options.license} is empty")


def _gpu(reporter: Reporter, access: Callable[[], Access], run: Run, device: str) -> tuple[Access, str]:
    """Decide how the container gets GPUs, and what the program inside is told."""
    if not run.gpu or device == "cpu":
        return Access.NONE, "cpu"
    found = access()
    if found is not Access.NONE:
        # All GPUs go in, so that the number inside is the number outside.
        return found, "0" if device == "auto" else device
    if device == "auto":
        reporter.warning("this engine can give no NVIDIA GPU; the run uses the CPU (`doctor` says what is missing)")
        return Access.NONE, "cpu"
    raise EnvironmentUnfit(
        f"--device {device}: this engine can give no NVIDIA GPU",
        remedy="install the driver and the NVIDIA Container Toolkit, then `nvidia-ctk runtime configure "
        "--runtime=docker` and restart the engine; or run with --device cpu",
    )


def _make_output(options: RunOptions) -> None:
    if options.output is None:
        return
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentUnfit(
            f"the output folder can't be made: {error.strerror}",
            where=str(options.output),
            remedy="choose another folder with --output, or mend its permissions",
        ) from error


def _request(
    recipe: Recipe, options: RunOptions, *, image: str, mounts: tuple[Mount, ...], gpu: Access, device: str
) -> ContainerRequest:
    run = recipe.run
    if run is None:
        raise AssertionError("checked before")
    values = {"input": run.input, "output": run.output, "license": run.license_ or "", "device": device}
    arguments = [_filled(text, values) for text in run.arguments]
    for option, value in run.defaults.items():
        if not _given(option, options.arguments):
            arguments += [option, *([_filled(value, values)] if value else [])]
    if options.resume:
        arguments += run.resume
    return ContainerRequest(
        image=image,
        arguments=(*arguments, *options.arguments),
        entrypoint=run.entrypoint,
        mounts=mounts,
        gpu=gpu,
        labels={LABEL: recipe.name},
    )


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)


def _given(option: str, arguments: tuple[str, ...]) -> bool:
    return any(argument == option or argument.startswith(f"{option}=") for argument in arguments)
