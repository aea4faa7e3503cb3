"""What is said of an image that passed verification: where it comes from, what is in it, how it was checked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bake import untrusted
from bake.errors import BuildFailed
from generator import __version__
from generator.plan.names import VERIFY
from generator.trust import provenance
from generator.trust.sbom import FILE, sbom
from generator.trust.statement import PROVENANCE, SBOM, SIGNATURE, VERIFICATION, statement
from generator.verification.report import REPORT

if TYPE_CHECKING:
    from generator.job import Job


def statements_of(job: Job, digest: str) -> dict[str, bytes]:
    """Give the statements of an image by type of predicate, a bare signature first; the same bake gives the same ones.

    Args:
        digest: of the image.

    Raises:
        BuildFailed: the verification left no list of what is installed, or no report.
    """
    name = f"image/{job.recipe.name}"
    folder = job.folder / VERIFY
    try:
        materials = sbom(untrusted.read(folder, FILE), name=job.recipe.name, digest=digest)
        report = json.loads(untrusted.read(folder, REPORT))
    except (OSError, ValueError) as error:
        raise BuildFailed(f"the verification left nothing that can be signed: {error}", where=str(folder)) from None
    said = {SIGNATURE: {}, PROVENANCE: _provenance(job), SBOM: materials, VERIFICATION: report}
    return {kind: statement(digest, name, kind, predicate) for kind, predicate in said.items()}


def _provenance(job: Job) -> dict[str, object]:
    base = f"{job.facts.base.partition('@')[0]}@{job.preflight.base.partition('@')[2]}"
    inputs = [*provenance.inputs_of(job.recipe, base=base, checksums=job.facts.checksums)]
    for wheel in job.reuse.lookup.wheels:
        digest = wheel.reference.rpartition("@sha256:")[2]
        uri = f"urn:image-uplift:wheel:{wheel.key.digest}"
        inputs.append(provenance.Input(name=wheel.target, uri=uri, digest={"sha256": digest} if digest else {}))
    return provenance.predicate(
        provenance.parameters(job.recipe, job.facts.documents),
        inputs,
        source=job.facts.origin.source,
        revision=job.facts.origin.revision,
        version=__version__,
    )
