"""Writes bundles and opens them: what was fetched, the images that a build starts from, and a list of both by hash.

bundle.json         what it was made for, and the SHA-256 of each file
fetched/TARGET/     what a target with the network left
images/NAME.tar     an image, as `docker save` writes it
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationError

from bake.engine import facts as engine
from bake.errors import EnvironmentUnfit, UsageError
from generator.job import Bundle, run
from generator.plan.keys import keys_of
from generator.plan.names import BUNDLE, REQUIREMENTS, fetch_target, source_target
from generator.recipe.groups import prebuilt_extension
from generator.recipe.section import Section

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from generator.job import Job, Rendered
    from generator.recipe import Recipe

LIST = "bundle.json"
FETCHED, IMAGES = "fetched", "images"
_BLOCK = 1 << 20
_MOST = 64 << 20  # bytes of the list


class _List(Section):
    """What a bundle holds."""

    schema_: Literal[1] = Field(alias="schema")
    recipe: str
    made_for: dict[str, str]
    images: Annotated[tuple[str, ...], Field(strict=False)]
    files: dict[str, str]


def write_bundle(job: Job, folder: Path, *, images: Iterable[str]) -> Bundle:
    """Fetch what the job's bakes need, and put it into a new folder.

    Args:
        folder: it gets its name when all is in it. images: on this engine, that the build starts from.

    Raises:
        UsageError: the folder is there already. BuildFailed, Interrupted: as for a bake.
        EnvironmentUnfit: an image is not on this engine, or the folder can't be written.
    """
    if folder.exists():
        raise UsageError("it is there already", where=str(folder), remedy="remove it, or name another folder")
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        _save_images(images, part / IMAGES)
        destination = {f"{BUNDLE}.output": f"type=local,dest={part / FETCHED}"}
        outcome = run(job, (BUNDLE,), overrides=destination, writes=part)
        outcome.raise_for_failure()
        listed = {
            "schema": 1,
            "recipe": job.recipe.name,
            "made-for": made_for(job.rendered, platform=job.preflight.platform),
            "images": sorted(images),
            "files": dict(sorted(_hashes(part))),
        }
        (part / LIST).write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
        part.rename(folder)
    except OSError as error:
        raise EnvironmentUnfit(f"the bundle can't be written: {error.strerror or error}", where=str(folder)) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Bundle(folder=folder)


def open_bundle(
    folder: Path, recipe: Recipe, rendered: Rendered, locked: Mapping[str, Mapping[str, str]], *, platform: str
) -> Bundle:
    """Hold a bundle against the recipe, the lock and its own list, and give its images to this engine.

    Raises:
        UsageError: it is none, is of another recipe or lock, or was changed.
        EnvironmentUnfit: the engine does not take an image.
    """
    known = _read(folder)
    if (known.recipe, known.made_for) != (recipe.name, made_for(rendered, platform=platform)):
        raise UsageError(
            f"this is a bundle of {known.recipe}, and it was made for another recipe, lock or version of this software",
            where=str(folder),
            remedy="make it again with `bundle`, or name the recipe and the lock that it was made for",
        )
    found = dict(_hashes(folder))
    if known.files != found:
        changed = sorted(name for name in {*known.files, *found} if known.files.get(name) != found.get(name))
        raise UsageError(
            f"{len(changed)} files are not as they were bundled, such as {changed[0]}",
            where=str(folder),
            remedy="copy the bundle again, or make it again",
        )
    for group, files in locked.items():
        place = f"{FETCHED}/{_place_of(group)}/"
        lying = {name.removeprefix(place): value for name, value in found.items() if name.startswith(place)}
        lying.pop("files.json", None)
        if lying != files:
            raise UsageError(
                f"its files of {group} are not those of the lock",
                where=str(folder),
                remedy="make it again with `bundle`",
            )
    _load_images(folder, known.images)
    return Bundle(folder=folder.resolve())


def made_for(rendered: Rendered, *, platform: str) -> dict[str, str]:
    """Give what decides on the content of a bundle: the key of each target with the network, whatever the base is.

    That one is among the images; its content decides through the list of files.
    """
    keys = keys_of(rendered.graph, rendered.files, variables={}, base="", platform=platform)
    return {target.name: keys[target.name].digest for target in rendered.graph.targets if target.fetches}


def _place_of(group: str) -> str:
    """Give where the files of a group lie."""
    if group == REQUIREMENTS:
        return REQUIREMENTS
    extension = prebuilt_extension(group)
    return f"{source_target(extension)}/source" if extension else f"{fetch_target(group)}/fetched"


def _read(folder: Path) -> _List:
    try:
        with (folder / LIST).open("rb") as opened:
            return _List.model_validate_json(opened.read(_MOST))
    except (OSError, ValueError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise UsageError(
            f"this is no bundle: {first}", where=str(folder / LIST), remedy="name a folder that `bundle` made"
        ) from None


def _hashes(folder: Path) -> Iterator[tuple[str, str]]:
    """Give each file below a folder, but the list, with its SHA-256; of a link, with where it leads."""
    for place, folders, files in os.walk(folder):
        for name in (*files, *(entry for entry in folders if Path(place, entry).is_symlink())):
            path = Path(place, name)
            relative = path.relative_to(folder).as_posix()
            if path.is_symlink():
                yield relative, f"to {path.readlink()}"
            elif relative != LIST:
                yield relative, _sha256(path) if path.is_file() else "neither file nor link"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as opened:
        while block := opened.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _save_images(images: Iterable[str], folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, image in enumerate(sorted(images)):
        engine.save_image(image, folder / f"{number}.tar")


def _load_images(folder: Path, images: Iterable[str]) -> None:
    with closing(engine.connect()) as client:
        missing = [image for image in images if engine.image_facts(client, image) is None]
    for number, image in enumerate(images):
        if image in missing:
            engine.load_image(folder / IMAGES / f"{number}.tar")
