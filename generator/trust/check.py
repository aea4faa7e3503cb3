"""Whose signatures count here, and whether a bundle has one of them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from bake.errors import EnvironmentUnfit, UsageError
from generator.trust import bundle
from generator.trust.statement import PAYLOAD, TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.x509 import Certificate
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey
    from sigstore.verify import Verifier


class Mistrusted(Exception):
    """Nobody who is trusted here signed it, or what was signed is something else; the text says which."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who may sign without a key: an issuer of identities, and one of these, or a pattern that all of it matches."""

    issuer: str
    identity: str | None = None
    pattern: str | None = None

    def __str__(self) -> str:
        return f"{self.identity or self.pattern} ({self.issuer})"

    def verify(self, certificate: Certificate) -> None:
        """Check a certificate, as a policy of the library sigstore.

        Raises:
            VerificationError: it is for another identity, or by another issuer.
        """
        from cryptography.x509 import RFC822Name, SubjectAlternativeName, UniformResourceIdentifier
        from sigstore.errors import VerificationError
        from sigstore.verify import policy

        if self.identity is not None:
            policy.Identity(identity=self.identity, issuer=self.issuer).verify(certificate)
            return
        policy.OIDCIssuer(self.issuer).verify(certificate)
        names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
        found = [*names.get_values_for_type(UniformResourceIdentifier), *names.get_values_for_type(RFC822Name)]
        if not any(re.fullmatch(self.pattern or "", name) for name in found):
            raise VerificationError("another identity")


@dataclass(frozen=True, kw_only=True)
class Verified:
    """A statement that somebody trusted signed: who, of what kind it is, and what it says."""

    by: str
    payload: bytes
    predicate_type: str
    predicate: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Whom a place trusts: public keys by name, and identities; false where it trusts nobody in particular."""

    keys: Mapping[str, SSlibKey] = field(default_factory=dict)
    identities: tuple[Identity, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.keys or self.identities)

    def check(self, content: bytes, *, digest: str, name: str | None = None) -> Verified:
        """Check a bundle.

        Args:
            digest: of the image that it has to be about. name: what the image has to be for; None: anything.

        Raises:
            Mistrusted: it is no bundle, of somebody else, or about something else.
        """
        try:
            envelope, signature, keyless = bundle.opened(content)
        except ValueError as error:
            raise Mistrusted(str(error)) from None
        signed = self._by_identity(content) if keyless else self._by_key(envelope, signature)
        if signed is None:
            raise Mistrusted("signed by nobody who is trusted here")
        by, payload = signed
        return _about(payload, by=by, digest=digest, name=name)

    def _by_key(self, envelope: Envelope, signature: bytes) -> tuple[str, bytes] | None:
        from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
        from securesystemslib.signer import Signature

        for name, key in self.keys.items():
            try:
                key.verify_signature(Signature(key.keyid, signature.hex()), envelope.pae())
            except (UnverifiedSignatureError, VerificationError):
                continue
            return name, envelope.payload
        return None

    def _by_identity(self, content: bytes) -> tuple[str, bytes] | None:
        """Give who signed, and what: as the library read it, which may read a strange text otherwise than we do."""
        if not self.identities:
            return None
        from sigstore.errors import Error
        from sigstore.models import Bundle

        for identity in self.identities:
            try:
                kind, payload = _sigstore().verify_dsse(Bundle.from_json(content), identity)
            except (Error, ValueError, KeyError):
                continue
            if kind == PAYLOAD:
                return str(identity), payload
        return None


def require_sigstore(where: str) -> None:
    """See that the library for keyless signatures is there: an extra, since it brings a dozen others.

    Raises:
        UsageError: it is not installed.
    """
    if find_spec("sigstore") is None:
        raise UsageError(
            "signatures without a key take the library sigstore", where=where, remedy="install image-uplift[keyless]"
        )


@lru_cache(maxsize=1)
def _sigstore() -> Verifier:
    """Give what checks keyless signatures; where Sigstore's roots can't be updated, with those known here.

    Raises:
        EnvironmentUnfit: the library has no place to keep them.
    """
    from sigstore.errors import TUFError
    from sigstore.verify import Verifier

    try:
        try:
            return Verifier.production()
        except TUFError:
            return Verifier.production(offline=True)
    except OSError as error:
        raise EnvironmentUnfit(
            f"Sigstore's roots can't be kept: {error}",
            remedy="set XDG_DATA_HOME and XDG_CACHE_HOME to writable folders",
        ) from None


def _about(payload: bytes, *, by: str, digest: str, name: str | None) -> Verified:
    """Read a statement whose signature was checked."""
    try:
        data: Any = json.loads(payload)
        if data["_type"] not in TYPES:
            raise Mistrusted(f"what {by} signed is another kind of statement")
        algorithm, _, value = digest.partition(":")
        subjects = [entry for entry in data["subject"] if entry["digest"].get(algorithm) == value]
        if not subjects:
            raise Mistrusted(f"what {by} signed is another image")
        if name is not None and not any(entry.get("name") == name for entry in subjects):
            raise Mistrusted(f"{by} signed it as {subjects[0].get('name', 'something else')!r}, and not as {name!r}")
        predicate = data.get("predicate") or {}
        return Verified(
            by=by,
            payload=payload,
            predicate_type=str(data["predicateType"]),
            predicate=predicate if isinstance(predicate, dict) else {},
        )
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        raise Mistrusted(f"what {by} signed can't be read") from None
