"""Sigstore bundles: a statement in its envelope (DSSE), with its signature and what it is checked with.

The form that cosign writes and reads since version 3, and since 2.6 with ``--new-bundle-format``:
https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto, version 0.3. A bundle has one
signature; the name of a key in an envelope is signed by nobody, so none is written and none is looked at.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from generator.trust.statement import PAYLOAD

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import Signature

KIND = "application/vnd.dev.sigstore.bundle.v0.3+json"
# Annotations of the manifest that holds a bundle (specs/BUNDLE_SPEC.md of cosign).
CONTENT, PREDICATE_TYPE = "dev.sigstore.bundle.content", "dev.sigstore.bundle.predicateType"
_OLDER = tuple(f"application/vnd.dev.sigstore.bundle+json;version=0.{number}" for number in (1, 2, 3))


def described(predicate_type: str) -> dict[str, str]:
    """Give the annotations of a bundle's manifest."""
    return {CONTENT: "dsse-envelope", PREDICATE_TYPE: predicate_type}


def enveloped(payload: bytes) -> Envelope:
    """Put a statement into an envelope that nobody has signed yet."""
    from securesystemslib.dsse import Envelope

    return Envelope(payload, PAYLOAD, {})


def of_key(envelope: Envelope, signature: Signature, hint: str) -> bytes:
    """Write a bundle whose signature a public key checks.

    Args:
        hint: what tells the key from others.
    """
    data = {
        **envelope.to_dict(),
        "signatures": [{"sig": base64.b64encode(bytes.fromhex(signature.signature)).decode()}],
    }
    material = {"publicKey": {"hint": hint}, "tlogEntries": []}
    return json.dumps(
        {"mediaType": KIND, "verificationMaterial": material, "dsseEnvelope": data}, separators=(",", ":")
    ).encode()


def opened(content: bytes) -> tuple[Envelope, bytes, bool]:
    """Read a bundle.

    Returns:
        its envelope, the signature's bytes, and whether it brings a certificate: of a keyless signature.

    Raises:
        ValueError: it is none, or has another number of signatures than one.
    """
    from securesystemslib.dsse import Envelope

    try:
        data: Any = json.loads(content)
        if data["mediaType"] not in (KIND, *_OLDER):
            raise ValueError(f"of the kind {data['mediaType']}")
        (signature,) = data["dsseEnvelope"]["signatures"]
        envelope = Envelope.from_dict({**data["dsseEnvelope"], "signatures": []})
        if envelope.payload_type != PAYLOAD:
            raise ValueError("it holds no statement")
        material = data["verificationMaterial"]
        keyless = bool(material.get("certificate") or material.get("x509CertificateChain"))
        return envelope, base64.b64decode(signature["sig"], validate=True), keyless
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"it is no bundle of a signed statement ({type(error).__name__})") from None
