"""``[extensions]``: packages with CUDA code for the new stack. A class for each ``source``, with the keys it can use.

A class says what the plan has to know of its kind; how it is fetched stands in the template of the target ``source``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from generator.recipe.fields import Commit, LocalVersion, Pinned, Sha256, Url, Variable, Version
from generator.recipe.section import Name, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.recipe.model import Stack


class ExtensionBase(Section):
    """What all kinds have.

    What an extension's metadata requires and the environment lacks comes in by itself; ``requires`` pins that, and says
    it where nobody can read the metadata. ``needs`` names the extensions that it is compiled against and runs with.
    ``own_archs`` leaves the archs of a compile to the package's setup.py, for kernels that exist for certain cards
    alone; by default the stack's are enforced. ``compile_together`` compiles small sources of a module at once:
    faster, and for whoever has compared the two results (``docs/speed.md``).
    """

    version: Version
    local: LocalVersion | None = None
    device_code: bool = True
    needs: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    requires: Annotated[tuple[Pinned, ...], Field(strict=False)] | None = None
    own_archs: bool = False
    compile_together: bool = False
    env: dict[Variable, str] = Field(default_factory=dict)

    fetched: ClassVar[str]  # what is fetched, for people
    made: ClassVar[str] = "compiled for the new stack"
    prebuilt: ClassVar[bool] = False  # a wheel may be found, and then nothing is compiled
    apt: ClassVar[tuple[str, ...]] = ()  # packages of the distribution that it takes

    @property
    def compiles(self) -> bool:
        """Whether a compiler may be needed."""
        return True

    @property
    def asset_name(self) -> str | None:
        """The asset that it is made of."""
        return None

    @property
    def stated_commit(self) -> str | None:
        """The commit that the source says it is of."""
        return None

    def local_version(self, stack: Stack) -> str | None:  # noqa: ARG002  a prebuilt wheel has the stack's
        """Give the local version of the build, ``pt27cu128``."""
        return self.local

    def full_version(self, stack: Stack) -> str:
        """Give the version of the build, with its local part."""
        local = self.local_version(stack)
        return f"{self.version}+{local}" if local else self.version

    def values(self, stack: Stack) -> dict[str, object]:  # noqa: ARG002  a page of links may be the stack's
        """Give what fetching it has to know."""
        return {}

    def mistakes(self, stack: Stack) -> Iterator[tuple[str, str]]:  # noqa: ARG002  the same
        """List which keys it lacks, and which have no effect: the key, and the message."""
        return iter(())


class WheelExtension(ExtensionBase):
    """A prebuilt wheel from a page of links; ``fallback`` compiles the sdist where the page has none that fits."""

    source: Literal["wheel"]
    page: Url | None = None
    fallback: Literal["sdist"] | None = None
    sha256: Sha256 | None = None

    fetched: ClassVar[str] = "looked for prebuilt"
    made: ClassVar[str] = "prebuilt for the new stack"
    prebuilt: ClassVar[bool] = True

    @property
    def compiles(self) -> bool:
        """Whether a compiler may be needed."""
        return self.fallback is not None

    def local_version(self, stack: Stack) -> str | None:
        """Give the local version of the build: the stack's, unless it has one of its own."""
        return self.local or stack.local

    def values(self, stack: Stack) -> dict[str, object]:
        """Give what fetching it has to know."""
        return {"page": self.page or stack.find_links, "sha256": self.sha256}

    def mistakes(self, stack: Stack) -> Iterator[tuple[str, str]]:
        """List which keys it lacks, and which have no effect: the key, and the message."""
        if not (self.page or stack.find_links):
            yield "source", 'a prebuilt wheel needs a page of links: give "page" here or "find-links" in [stack]'
        if self.fallback and self.sha256 is None:
            yield "sha256", "missing; without it the sdist may change between two bakes"
        without_effect = set() if self.fallback else {"sha256", "own_archs", "compile_together", "env"}
        for key in sorted(without_effect & self.model_fields_set):
            yield key.replace("_", "-"), 'nothing is compiled here: remove the line, or add fallback = "sdist"'


class SdistExtension(ExtensionBase):
    """The package's sdist on the index."""

    source: Literal["sdist"]
    sha256: Sha256 = Field(description="without it the sdist may change between two bakes")

    fetched: ClassVar[str] = "its sdist"

    def values(self, stack: Stack) -> dict[str, object]:  # noqa: ARG002  see the base
        """Give what fetching it has to know."""
        return {"sha256": self.sha256}


class ArchiveExtension(ExtensionBase):
    """A source archive, one of ``[assets]``; ``commit`` is held against the number that the archive carries."""

    source: Literal["archive"]
    asset: Name = Field(description="it names one of [assets]")
    commit: Commit | None = None

    fetched: ClassVar[str] = "its source archive"
    made: ClassVar[str] = "compiled for the new stack from its source archive"

    @property
    def asset_name(self) -> str | None:
        """The asset that it is made of."""
        return self.asset

    @property
    def stated_commit(self) -> str | None:
        """The commit that the source says it is of."""
        return self.commit


class GitExtension(ExtensionBase):
    """A repository at a commit."""

    source: Literal["git"]
    url: Url = Field(description="a repository is pinned by url and commit")
    commit: Commit = Field(description="a repository is pinned by url and commit")

    fetched: ClassVar[str] = "its repository"
    made: ClassVar[str] = "compiled for the new stack from its repository"
    apt: ClassVar[tuple[str, ...]] = ("git",)

    def values(self, stack: Stack) -> dict[str, object]:  # noqa: ARG002  see the base
        """Give what fetching it has to know."""
        return {"url": self.url, "commit": self.commit}


Extension = Annotated[WheelExtension | SdistExtension | ArchiveExtension | GitExtension, Field(discriminator="source")]
