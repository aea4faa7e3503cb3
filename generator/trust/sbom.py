"""The bill of materials of an image, as CycloneDX, from what its verification saw installed. Pure.

https://cyclonedx.org/docs/1.6/json/. The same packages and the same image give the same document: it has no time in it,
and its serial number is made of the image's digest.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packageurl import PackageURL

FILE = "installed.json"  # as conversion.verify.installed writes it
_MOST = 100_000  # packages; large images have some 2,000
_LONGEST = 1024  # of a version, says CycloneDX


def sbom(text: bytes, *, name: str, digest: str) -> dict[str, Any]:
    """Write the bill of materials.

    Args:
        text: what is installed, as the image's verification exported it. name, digest: of the image.

    Raises:
        ValueError: the text is no such list.
    """
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    image = PackageURL("oci", None, name.rpartition("/")[2], digest)
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, str(image)))
    bom.metadata.component = Component(
        name=name, version=digest, type=ComponentType.CONTAINER, purl=image, bom_ref=str(image)
    )
    try:
        packages = list(_packages(json.loads(text)))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is no list of packages ({type(error).__name__})") from None
    for purl in dict.fromkeys(packages):
        bom.components.add(Component(name=purl.name, version=purl.version, purl=purl, bom_ref=str(purl)))
    bom.register_dependency(bom.metadata.component, bom.components)
    document: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    del document["metadata"]["timestamp"]
    document.pop("dependencies", None)  # who needs whom is not known
    return document


def _packages(found: Any) -> Iterator[PackageURL]:
    """List the packages as purls (https://github.com/package-url/purl-spec, types pypi, conda and deb)."""
    from packageurl import PackageURL

    kinds = [found[kind] for kind in ("python", "conda", "dpkg")]
    if sum(map(len, kinds)) > _MOST:
        raise ValueError(f"it lists more than {_MOST} packages")
    python, conda, dpkg = kinds
    vendor, release = _texts(found["os"], "id", "version")
    for name, version in (_texts(package, "name", "version") for package in python):
        yield PackageURL("pypi", None, name, version)
    for name, version, build in (_texts(package, "name", "version", "build") for package in conda):
        yield PackageURL("conda", None, name, version, {"build": build})
    for name, version, arch in (_texts(package, "name", "version", "architecture") for package in dpkg):
        qualifiers = {"arch": arch, "distro": f"{vendor}-{release}" if release else vendor}
        yield PackageURL("deb", vendor or None, name, version, qualifiers)


def _texts(row: Any, *keys: str) -> tuple[str, ...]:
    found = tuple(row[key] for key in keys)
    if not all(isinstance(text, str) and len(text) <= _LONGEST for text in found):
        raise ValueError(f"a {', '.join(keys)} is no text of at most {_LONGEST} characters")
    return found
