"""The recipe as written: what belongs to an image, and nothing of the place where it is built.

Every class is frozen and refuses unknown keys. Keys are kebab-case in TOML and snake_case here.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from conversion.patch.codemods import CODEMODS
from generator.recipe.arch import parse_arch
from generator.recipe.models import ModelSet
from generator.recipe.section import AbsolutePath, Name, NonEmpty, Section, matches

__all__ = ["ModelSet", "Name", "NonEmpty", "Section"]  # from the section module, for those that know them from here

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._,\s-]+\])?\s*==\s*[A-Za-z0-9.!+*_-]+")
_PYTHONS = re.compile(r">=3\.(\d{1,2}),<3\.(\d{1,2})")
_CUDA = re.compile(r"\d{1,2}\.\d{1,2}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_URL = re.compile(r"https?://[^\s\"'$`\\]+")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
_LOCAL = re.compile(r"[a-z0-9]+(?:\.[a-z0-9]+)*")


def _pinned(text: str) -> str:
    if not _PINNED.fullmatch(text.strip()):
        raise ValueError(f'{text!r} is not pinned; write "name==version", so that every bake installs the same')
    return text.strip()


def _arch(text: str) -> str:
    return str(parse_arch(text))


Arch = Annotated[str, AfterValidator(_arch)]
Pinned = Annotated[str, AfterValidator(_pinned)]
Sha256 = Annotated[str, matches(_SHA256, "a SHA-256 digest: 64 lower-case hexadecimal digits")]
Digest = Annotated[str, matches(_DIGEST, "a digest: sha256: and 64 hexadecimal digits")]
Pythons = Annotated[str, matches(_PYTHONS, 'a range of Python releases such as ">=3.10,<3.15"')]
CudaRelease = Annotated[str, matches(_CUDA, 'a CUDA release such as "13.0"')]
Commit = Annotated[str, matches(_COMMIT, "a commit: 40 lower-case hexadecimal digits")]
Url = Annotated[str, matches(_URL, "an http or https address")]
LocalVersion = Annotated[str, matches(_LOCAL, 'a local version such as "pt27cu128", without the +')]
FileName = Annotated[str, matches(_FILE, "a plain file name: letters, digits and . _ + -")]


class Image(Section):
    """The image that the bake yields; ``disk_gib`` is the room that a first bake takes, in GiB."""

    tag: NonEmpty
    disk_gib: Annotated[float, Field(ge=0, strict=False)] = 0.0


class Base(Section):
    """The frozen image, and the Python environment in it that is uplifted."""

    image: NonEmpty
    prefix: AbsolutePath
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
        return self.file or (last if _FILE.fullmatch(last) else "")


class Toolkit(Section):
    """Where compiler and CUDA toolkit come from; neither is ever part of the image.

    ``runfile`` is NVIDIA's installer (an asset), ``wheels`` the toolkit's wheels, ``image`` a CUDA devel image.
    """

    source: Literal["runfile", "wheels", "image"]
    install: Annotated[tuple[Pinned, ...], Field(strict=False)] = ()
    asset: Name | None = None
    image: NonEmpty | None = None
    keep: Annotated[tuple[NonEmpty, ...], Field(strict=False)] = ()
    installer_apt: Annotated[tuple[NonEmpty, ...], Field(strict=False)] = ("libxml2",)
    apt: Annotated[tuple[NonEmpty, ...], Field(strict=False)] = ("g++", "ccache")
    build_requires: Annotated[tuple[Pinned, ...], Field(strict=False)] = (
        "ninja==1.13.0",
        "pip==25.3",
        "setuptools==80.9.0",
        "wheel==0.45.1",
    )


class Extension(Section):
    """A package with CUDA code for the new stack.

    ``wheel`` is prebuilt, from the stack's page of links; ``sdist``, ``archive`` (an asset) and ``git`` are compiled.
    ``fallback`` compiles the sdist where the page has no wheel that fits. What its metadata requires and the
    environment lacks comes in by itself; ``requires`` pins that, and says it where nobody can read the metadata.
    ``own_archs`` leaves the archs of a compile to the package's setup.py, for kernels that exist for certain cards
    alone; by default the stack's are enforced.
    """

    source: Literal["wheel", "sdist", "archive", "git"]
    version: NonEmpty
    sha256: Sha256 | None = None
    fallback: Literal["sdist"] | None = None
    page: Url | None = None
    local: LocalVersion | None = None
    asset: Name | None = None
    url: Url | None = None
    commit: Commit | None = None
    device_code: bool = True
    own_archs: bool = False
    needs: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    requires: Annotated[tuple[Pinned, ...], Field(strict=False)] | None = None
    env: dict[str, str] = Field(default_factory=dict)

    @property
    def compiles(self) -> bool:
        """Whether a compiler may be needed."""
        return self.source != "wheel" or self.fallback is not None


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
    mirrors: dict[NonEmpty, NonEmpty] = Field(default_factory=dict)
    run: Run | None = None
    clean: Clean = Field(default_factory=Clean)
