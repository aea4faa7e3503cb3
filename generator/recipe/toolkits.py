"""``[toolkit]``: where compiler and CUDA toolkit come from. A class for each ``source``, with the keys it can use.

Neither is ever part of the image. A class says what the plan has to know of its kind; how the toolkit is laid out
stands in the template of the target ``toolchain``.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from generator.recipe.fields import Pinned
from generator.recipe.section import Name, NonEmpty, Section

Kept = Annotated[tuple[NonEmpty, ...], Field(strict=False)]


class ToolkitBase(Section):
    """What all kinds have: packages of the distribution, and what setup.py files are run with."""

    apt: Annotated[tuple[NonEmpty, ...], Field(strict=False)] = ("g++", "ccache")
    build_requires: Annotated[tuple[Pinned, ...], Field(strict=False)] = (
        "ninja==1.13.0",
        "pip==25.3",
        "setuptools==80.9.0",
        "wheel==0.45.1",
    )

    script: ClassVar[str] = "trim-toolkit"  # of contexts/toolchain, that laying it out runs
    whole: ClassVar[bool] = True  # all of it is fetched, whatever is kept

    @property
    def asset_name(self) -> str | None:
        """The asset that it is taken from."""
        return None

    @property
    def devel_image(self) -> str | None:
        """The image that it is taken from."""
        return None

    @property
    def installer_packages(self) -> tuple[str, ...]:
        """Packages of the distribution that laying it out needs."""
        return ()

    def values(self) -> dict[str, object]:
        """Give what laying it out has to know."""
        return {}


class RunfileToolkit(ToolkitBase):
    """NVIDIA's installer, one of ``[assets]``; ``installer_apt`` are packages that it needs, ``keep`` parts to keep."""

    source: Literal["runfile"]
    asset: Name = Field(description="it names one of [assets]")
    keep: Kept = ()
    installer_apt: Annotated[tuple[NonEmpty, ...], Field(strict=False)] = ("libxml2",)

    @property
    def asset_name(self) -> str | None:
        """The asset that it is taken from."""
        return self.asset

    @property
    def installer_packages(self) -> tuple[str, ...]:
        """Packages of the distribution that laying it out needs."""
        return self.installer_apt

    def values(self) -> dict[str, object]:
        """Give what laying it out has to know."""
        return {"keep": self.keep, "installer_apt": self.installer_apt}


class WheelsToolkit(ToolkitBase):
    """The toolkit's wheels."""

    source: Literal["wheels"]
    install: Annotated[tuple[Pinned, ...], Field(min_length=1, strict=False, description="the toolkit's wheels")]

    script: ClassVar[str] = "link-toolkit"
    whole: ClassVar[bool] = False

    def values(self) -> dict[str, object]:
        """Give what laying it out has to know."""
        return {"install": self.install}


class ImageToolkit(ToolkitBase):
    """A CUDA devel image; ``keep`` are parts to keep."""

    source: Literal["image"]
    image: NonEmpty = Field(description="it names a CUDA devel image")
    keep: Kept = ()

    @property
    def devel_image(self) -> str | None:
        """The image that it is taken from."""
        return self.image

    def values(self) -> dict[str, object]:
        """Give what laying it out has to know."""
        return {"keep": self.keep}


Toolkit = Annotated[RunfileToolkit | WheelsToolkit | ImageToolkit, Field(discriminator="source")]
