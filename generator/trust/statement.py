"""Statements: what is said of an image by its digest, before anybody signs it. Pure.

In-toto's Statement v1 (https://in-toto.io/Statement/v1). A signature alone is a statement too, with nothing but its
subject, as cosign writes it since version 3. The subject's name says what the image is for: a wheel's holds its key, so
that a signed wheel can't be put in the place of another one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

TYPE = "https://in-toto.io/Statement/v1"
TYPES = (TYPE, "https://in-toto.io/Statement/v0.1")  # the second: of `cosign attest`
PAYLOAD = "application/vnd.in-toto+json"
# Types of predicates: cosign's own, SLSA's, CycloneDX's; the last one is our verification report.
SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
SBOM = "https://cyclonedx.org/bom"
VERIFICATION = "urn:image-uplift:verification:v1"


def statement(digest: str, name: str, predicate_type: str, predicate: Mapping[str, Any] | None = None) -> bytes:
    """Write a statement; the same facts give the same bytes.

    Args:
        digest: of the image, ``sha256:…``. name: what it is for, such as ``wheel/NAME-KEY``.
    """
    algorithm, _, value = digest.partition(":")
    return json.dumps(
        {
            "_type": TYPE,
            "subject": [{"name": name, "digest": {algorithm: value}}],
            "predicateType": predicate_type,
            "predicate": predicate or {},
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode()
