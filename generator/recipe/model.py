"""The recipe as written: what belongs to an image, and nothing of the place where it is built.

Every class is frozen and refuses unknown keys. Keys are kebab-case in TOML and snake_case here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from conversion.patch.codemods import CODEMODS
from generator.recipe.extensions import Extension
from generator.recipe.fields import (
    Arch,
    CudaRelease,
    FileName,
    Gib,
    LocalVersion,
    Mirrors,
    Pinned,
    Pythons,
    Sha256,
    Url,
    is_file_name,
)
from generator.recipe.models import ModelSet
from generator.recipe.section import AbsolutePath, Name, NonEmpty, Prefix, Section
from generator.recipe.toolkits import Toolkit


class Image(Section):
    """The image that the bake yields; ``disk_gib`` is the room that a first bake takes, in GiB."""

    tag: NonEmpty
    disk_gib: Gib = 0.0


class Base(Section):
    """The frozen image, and the Python environment in it that is uplifted."""

    image: NonEmpty
    prefix: Prefix
    remedy: str | None = None


class Stack(Section):
    """The new packages of the environment.

    ``from`` names a file of ``stacks`` whose keys these are laid over; it is resolved before this class is made.
    ``python`` is the range of Pythons that it has wheels for. ``installed_mib`` is what all of it takes in an image, in
    MiB: from it follows how many layers it needs where a registry limits their size.
    """

    from_: str | None = Field(default=None, alias="from")
    cuda: CudaRelease
    python: Pythons | None = None
    archs: Annotated[tuple[Arch, ...], Field(min_length=1, strict=False)]
    install: Annotated[tuple[Pinned, ...], Field(min_length=1, strict=False)]
    also: Annotated[tuple[Pinned, ...], Field(strict=False)] = ()
    index: Url | None = None
    find_links: Url | None = None
    local: LocalVersion | None = None
    expect: dict[str, NonEmpty] = Field(default_factory=dict)
    may_change: Annotated[tuple[NonEmpty, ...], Field(strict=False)] = ()
    remove: Annotated[tuple[NonEmpty, ...], Field(strict=False)] = ()
    installed_mib: Annotated[int, Field(gt=0)] | None = None

    @property
    def packages(self) -> tuple[str, ...]:
        """All that is installed: the stack's packages, and those that the recipe adds to them."""
        return (*self.install, *self.also)


class Asset(Section):
    """A large file that is fetched once: to this machine beforehand, or by the build itself."""

    url: Url
    alternatives: Annotated[tuple[Url, ...], Field(strict=False)] = ()
    sha256: Sha256 | None = None
    size: Annotated[int, Field(gt=0)] | None = None
    file: FileName | None = None

    @property
    def file_name(self) -> str:
        """The file's name: as given, or the last part of the address; "" when that is no name."""
        last = self.url.partition("?")[0].rpartition("/")[2]
        return self.file or (last if is_file_name(last) else "")


class Patch(Section):
    """Source in the image that the new stack breaks; below ``look`` calls are listed and left as they are."""

    roots: Annotated[tuple[AbsolutePath, ...], Field(min_length=1, strict=False)]
    look: Annotated[tuple[AbsolutePath, ...], Field(strict=False)] = ()
    codemods: Annotated[
        tuple[Literal[tuple(CODEMODS)], ...],  # type: ignore[valid-type]  # the names stand there
        Field(min_length=1, strict=False),
    ] = ("torch-load",)


class Run(Section):
    """How the image is run by its users.

    ``input``, ``output`` and ``license`` are where the user's folders and file appear in the container.
    ``arguments`` come first, then those ``defaults`` (option and value) that the user does not give himself; in both
    ``{input}``, ``{output}``, ``{license}`` and ``{device}`` stand for their values.
    """

    input: AbsolutePath
    output: AbsolutePath
    license_: Annotated[AbsolutePath | None, Field(alias="license")] = None
    arguments: Annotated[tuple[str, ...], Field(strict=False)] = ("{input}", "{output}")
    defaults: dict[NonEmpty, str] = Field(default_factory=dict)
    resume: Annotated[tuple[str, ...], Field(strict=False)] = ()
    entrypoint: Annotated[tuple[NonEmpty, ...], Field(strict=False)] = ()
    gpu: bool = True


class Clean(Section):
    """What ``clean`` removes besides what this software made: images by name, such as a manual recipe's steps."""

    images: Annotated[tuple[NonEmpty, ...], Field(strict=False)] = ()


class Verify(Section):
    """What verification does beyond what the other sections promise; ``load``: checkpoints that must load."""

    load: Annotated[tuple[AbsolutePath, ...], Field(strict=False)] = ()
    path: Annotated[tuple[AbsolutePath, ...], Field(strict=False)] = ()


class Device(Section):
    """What happens to a package, or to what lies below a folder, that has no code for the asked cards.

    ``cpu``: it stays off cards later than ``up-to``, the latest that it runs on; ``replaced``: the recipe replaces it,
    and it must serve them; ``inform``: the report says it; ``fail``: verification fails.
    """

    action: Literal["cpu", "replaced", "inform", "fail"]
    up_to: Arch | None = None
    reason: NonEmpty


class Recipe(Section):
    """One recipe, as parsed; see ``generator/recipes`` for those that ship."""

    schema_: Literal[2] = Field(alias="schema")
    name: Name
    summary: NonEmpty
    image: Image
    base: Base
    stack: Stack
    toolkit: Toolkit | None = None
    extensions: dict[Name, Extension] = Field(default_factory=dict)
    patch: Patch | None = None
    device: dict[NonEmpty, Device] = Field(default_factory=dict)
    models: dict[Name, ModelSet] = Field(default_factory=dict)
    assets: dict[Name, Asset] = Field(default_factory=dict)
    verify: Verify = Field(default_factory=Verify)
    mirrors: Mirrors = Field(default_factory=dict)
    run: Run | None = None
    clean: Clean = Field(default_factory=Clean)
