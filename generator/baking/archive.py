"""Saves the verified image as one file, for clusters without a registry; Apptainer makes a SIF image of it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import tarfile
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from bake.errors import EnvironmentUnfit, UsageError
from bake.temporary import temporary_folder
from generator.compression import FORM

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from bake.buildx.driver import BakeOutcome


class ArchiveFormat(str, Enum):
    """The form of the file, by the names that skopeo, podman and Apptainer use."""

    OCI = "oci-archive"
    DOCKER = "docker-archive"


# Exporter and layers. An OCI archive keeps the layers as the build cache has them. A Docker archive holds plain tar
# layers: `docker load` of any age reads these, and Apptainer 1.4 finds "no extractable OCI/Docker tar layers" where
# they are zstd.
_EXPORTERS = {
    ArchiveFormat.OCI: ("type=oci", FORM),
    ArchiveFormat.DOCKER: ("type=docker", "compression=uncompressed,force-compression=true"),
}


_MOST = 8 << 20  # bytes of an index, manifest or configuration, as for those of registries


@dataclass(frozen=True, kw_only=True)
class Archive:
    """The file to save the image as."""

    form: ArchiveFormat
    path: Path

    def check(self) -> None:
        """Make sure, before anything starts, that the file can be written.

        Raises:
            UsageError: the path is a folder, or its folder does not exist. EnvironmentUnfit: it may not be written.
        """
        folder = self.path.absolute().parent
        if self.path.is_dir():
            raise UsageError("this is a folder", where=str(self.path), remedy="give the name of the file to write")
        if not folder.is_dir():
            raise UsageError("there is no such folder", where=str(folder), remedy="make it, or give another path")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise EnvironmentUnfit("the folder is not writable", where=str(folder), remedy="give another path")

    def written(self, export: Callable[[Path], BakeOutcome]) -> BakeOutcome:
        """Write the file: beside its place first, where it gets its name only when all is written.

        Args:
            export: writes to the path that it is given, and says how that went.

        Raises:
            EnvironmentUnfit: the file could not be put in place.
        """
        target = self.path.absolute()
        with temporary_folder(".image-uplift-", str(target.parent)) as folder:
            part = folder / target.name
            try:
                outcome = export(part)
                if outcome.failure is None:
                    with part.open("rb") as written:
                        os.fsync(written.fileno())
                    part.replace(target)
            except OSError as error:
                raise EnvironmentUnfit(
                    f"the image could not be saved: {error.strerror or error}", where=str(self.path)
                ) from None
        return outcome

    def exporter(self, part: Path) -> str:
        """The value of buildx' ``output`` that writes the archive: fields separated and quoted as CSV."""
        line = io.StringIO()
        exporter, layers = _EXPORTERS[self.form]
        csv.writer(line, lineterminator="").writerow([exporter, *layers.split(","), f"dest={part}"])
        return line.getvalue()

    @property
    def layers(self) -> str:
        """Fields of buildx' ``output`` that make the layers of the archive."""
        return _EXPORTERS[self.form][1]

    @property
    def use(self) -> str:
        """How the file is used elsewhere."""
        sif = f"apptainer build image.sif {self.form.value}:{self.path.name}"
        return f"docker load -i {self.path.name}, or {sif}" if self.form is ArchiveFormat.DOCKER else sif


def config_digest_of(file: Path) -> str:
    """Give the digest of the configuration in an archive of either form: both have the layout of OCI in them.

    https://github.com/opencontainers/image-spec/blob/main/image-layout.md. What is hashed are the configuration's own
    bytes, which name every layer by the hash of its files; "" where the archive holds no image.
    """
    try:
        with tarfile.open(file) as archive:

            def document(name: str) -> Any:
                member = archive.getmember(name)
                content = archive.extractfile(member) if member.isreg() and member.size <= _MOST else None
                return json.loads(content.read()) if content else {}

            def blob(descriptor: Any) -> str:
                return f"blobs/{str(descriptor['digest']).replace(':', '/')}"

            manifest = document(blob(document("index.json")["manifests"][0]))
            config = archive.extractfile(blob(manifest["config"]))
            return f"sha256:{hashlib.sha256(config.read(_MOST)).hexdigest()}" if config else ""
    except (OSError, tarfile.TarError, ValueError, LookupError, TypeError, RecursionError):
        return ""
