"""What is said of an image that passed verification: where it comes from, what is in it, how it was checked."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from bake import untrusted
from bake.errors import BuildFailed
from generator import __version__
from generator.plan.names import VERIFY
from generator.trust import provenance
from generator.trust.sbom import FILE, sbom
from generator.trust.statement import PROVENANCE, SBOM, SIGNATURE, VERIFICATION, statement
from generator.verification.report import as_json

if TYPE_CHECKING:
    from generator.job import Job


def statements_of(job: Job, digest: str) -> dict[str, bytes]:
    """Give the statements of an image by type of predicate, a bare signature first; the same bake gives the same ones.

    Args:
        digest: of the image.

    Raises:
        BuildFailed: the verification left no list of what is installed.
    """
    name = f"image/{job.recipe.name}"
    folder = job.folder / VERIFY
    try:
        materials = sbom(untrusted.read(folder, FILE), name=job.recipe.name, digest=digest)
    except (OSError, ValueError) as error:
        raise BuildFailed(f"the verification left nothing that can be signed: {error}", where=str(folder)) from None
    said = {SIGNATURE: {}, PROVENANCE: _provenance(job), SBOM: materials, VERIFICATION: _verification(job, digest)}
    return {kind: statement(digest, name, kind, predicate) for kind, predicate in said.items()}


def _verification(job: Job, digest: str) -> dict[str, object]:
    """Give the report that was judged, whatever its file says by now; the image by its digest, not by a place."""
    if job.report is None or not job.report.passed:
        raise BuildFailed("an image that passed no verification is not signed", where=job.facts.image)
    predicate: dict[str, object] = json.loads(as_json(dataclasses.replace(job.report, image=digest)))
    return predicate


def _provenance(job: Job) -> dict[str, object]:
    facts, found = job.facts, job.preflight
    inputs = [
        *provenance.inputs_of(
            job.recipe,
            base=_by_digest(facts.base, found.base),
            fetcher=_by_digest(facts.fetcher, found.fetcher),
            checksums=facts.checksums,
            files=facts.files,
        )
    ]
    for wheel in job.reuse.lookup.wheels:
        digest = wheel.reference.rpartition("@sha256:")[2]
        uri = f"urn:image-uplift:wheel:{wheel.key.digest}"
        inputs.append(provenance.Input(name=wheel.target, uri=uri, digest={"sha256": digest} if digest else {}))
    return provenance.predicate(
        provenance.parameters(job.recipe, facts.documents),
        inputs,
        source=facts.origin.source,
        revision=facts.origin.revision,
        version=__version__,
    )


def _by_digest(name: str, found: str) -> str:
    """Give the name of an image as it was asked for, with the digest of what was found, which may be at a mirror."""
    return f"{name.partition('@')[0]}@{found.partition('@')[2]}"
