"""Artifacts that refer to an image, such as its signatures: written and read. The image itself stays as it is.

OCI image specification, "Guidelines for Artifact Usage"; distribution specification, "Pushing Manifests with Subject"
and "Referrers Tag Schema". Sigstore's bundles are laid out as cosign does it (specs/BUNDLE_SPEC.md there).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bake.registry.answer import Answer, Outcome, faulty
from bake.registry.client import list_tag
from bake.registry.manifest import IMAGES, INDEX, MANIFEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bake.reference import Reference
    from bake.registry.client import Registry

CONTENT_BYTES = 16 << 20  # of an artifact: the list of a large image's packages has some 1 MB
_ALL_BYTES = 4 * CONTENT_BYTES  # of those that are read of one image
_EMPTY, _EMPTY_KIND = b"{}", "application/vnd.oci.empty.v1+json"
_TRIES = 5  # of a list that others write too


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file that refers to an image: its media type, which is the artifact's kind too, content and annotations."""

    kind: str
    content: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)


def attach(registry: Registry, image: Reference, artifacts: Sequence[Artifact]) -> Answer:
    """Write artifacts that refer to an image; one that is there already is not written again.

    Args:
        image: by digest.

    Returns:
        the last answer: the first one that stood in the way, where one did.
    """
    answer = registry.manifest(image)
    if answer.outcome is not Outcome.ANSWERS or not artifacts:
        return answer
    kind = answer.headers.get("content-type") or str(answer.data.get("mediaType", ""))
    subject = {"mediaType": kind, "digest": image.digest, "size": len(answer.body)}
    unlisted = []
    for content in (_EMPTY, *(artifact.content for artifact in artifacts)):
        answer = registry.put_blob(image.repository, content)
        if answer.outcome is not Outcome.ANSWERS:
            return answer
    for artifact in artifacts:
        manifest = _manifest(artifact, subject)
        row = _descriptor(MANIFEST, manifest)
        answer = registry.put_manifest(image.repository, row["digest"], manifest, MANIFEST)
        if answer.outcome is not Outcome.ANSWERS:
            return answer
        if "oci-subject" not in answer.headers:
            unlisted.append({**row, "artifactType": artifact.kind, "annotations": dict(artifact.annotations)})
    return _list(registry, image, unlisted) if unlisted else answer


def attached(
    registry: Registry, image: Reference, kind: str, annotations: Mapping[str, str] = MappingProxyType({})
) -> list[Artifact] | Answer:
    """Read the artifacts of a kind that refer to an image, within bounds; one that can't be read is left out.

    Args:
        image: by digest. annotations: those that have another value in the list are left out too.

    Returns:
        the artifacts, or the answer that stood in the way of their list.
    """
    rows = registry.referrers(image)
    if isinstance(rows, Answer):
        return rows
    found, left = [], _ALL_BYTES
    for row in rows:
        said = _texts(row.get("annotations"))
        if row.get("artifactType") != kind or any(said.get(key, value) != value for key, value in annotations.items()):
            continue
        manifest = registry.manifest(replace(image, tag=None, digest=row["digest"])).data
        layers = manifest.get("layers", ())
        if len(layers) != 1 or not left:
            continue
        answer = registry.blob(image.repository, layers[0]["digest"], limit=min(left, CONTENT_BYTES))
        left -= len(answer.body)
        if answer.outcome is Outcome.ANSWERS:
            found.append(Artifact(kind=kind, content=answer.body, annotations=_texts(manifest.get("annotations"))))
    return found


def _list(registry: Registry, image: Reference, rows: list[dict[str, Any]]) -> Answer:
    """Add to the list under the digest's tag; read again after each writing, since others may have written as well."""
    tag = list_tag(image)
    name = f"{image.repository}:{tag}"
    for _ in range(_TRIES):
        there = registry.listed(image)
        if isinstance(there, Answer):
            return there
        known = {row["digest"] for row in there}
        missing = [row for row in rows if row["digest"] not in known]
        if not missing:
            return Answer(outcome=Outcome.ANSWERS, url=name, headers={})
        if len(there) + len(missing) > IMAGES:
            return faulty(name, f"more than {IMAGES} artifacts refer to the image; delete some", {})
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*there, *missing]}
        written = registry.put_manifest(image.repository, tag, _json(index), INDEX)
        if written.outcome is not Outcome.ANSWERS:
            return written
    return faulty(name, "others keep writing the list of what refers to the image", {})


def _manifest(artifact: Artifact, subject: Mapping[str, Any]) -> bytes:
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": artifact.kind,
            "config": _descriptor(_EMPTY_KIND, _EMPTY),
            "layers": [_descriptor(artifact.kind, artifact.content)],
            "subject": subject,
            "annotations": dict(artifact.annotations),
        }
    )


def _descriptor(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size": len(content)}


def _texts(found: Any) -> dict[str, str]:
    pairs = found.items() if isinstance(found, dict) else ()
    return {str(key): value for key, value in pairs if isinstance(value, str)}


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
