"""Who signs: a key of the lab's, or the identity that a CI job has (keyless, by Sigstore's public services)."""

from __future__ import annotations

import base64
import hashlib
from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING

from bake.errors import EnvironmentUnfit
from generator.trust import bundle
from generator.trust.check import Trust, require_sigstore
from generator.trust.keys import private_key

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner
    from sigstore.sign import SigningContext

KEYLESS = "keyless"


class Signer(ABC):
    """Signs statements."""

    @abstractmethod
    def sign(self, statement: bytes) -> bytes:
        """Give the bundle of a statement.

        Raises:
            EnvironmentUnfit: a service that it takes does not do it.
        """

    @property
    def own(self) -> Trust:
        """What tells this signer's statements from those of others; false where that can't be told beforehand."""
        return Trust()


class KeySigner(Signer):
    """Signs with a private key; nobody else is asked."""

    def __init__(self, key: CryptoSigner) -> None:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

        self._key = key
        public = load_pem_public_key(key.public_key.keyval["public"].encode())
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self._hint = base64.b64encode(hashlib.sha256(der).digest()).decode()  # as cosign writes it

    def sign(self, statement: bytes) -> bytes:
        """Give the bundle of a statement."""
        envelope = bundle.enveloped(statement)
        return bundle.of_key(envelope, self._key.sign(envelope.pae()), self._hint)

    @property
    def own(self) -> Trust:
        """The key alone."""
        return Trust(keys={"this key": self._key.public_key})


class KeylessSigner(Signer):
    """Signs with a certificate for the job's identity; its statements' hashes and the identity become public."""

    def sign(self, statement: bytes) -> bytes:
        """Give the bundle of a statement."""
        from sigstore.dsse import Statement
        from sigstore.oidc import IdentityToken
        from sigstore.sign import Signer as SigstoreSigner

        # Tokens last for minutes, and a bake for hours: each statement takes one of its own.
        try:
            signer = SigstoreSigner(IdentityToken(_token()), self._services)
            return signer.sign_dsse(Statement(statement)).to_json().encode()
        except EnvironmentUnfit:
            raise
        except Exception as error:  # noqa: BLE001 - of many libraries: TUF, Fulcio, Rekor, the network
            raise EnvironmentUnfit(
                f"Sigstore's services do not sign: {type(error).__name__}: {error}",
                where="--sign-key keyless",
                remedy="they have to be reachable from here, or sign with a key (--sign-key FILE)",
            ) from None

    @cached_property
    def _services(self) -> SigningContext:
        from sigstore.models import ClientTrustConfig
        from sigstore.sign import SigningContext

        return SigningContext.from_trust_config(ClientTrustConfig.production())


def _token() -> str:
    from sigstore.oidc import detect_credential

    token = detect_credential()
    if not token:
        raise EnvironmentUnfit(
            "this job has no identity to sign with",
            where="--sign-key keyless",
            remedy="GitHub: permissions id-token: write; GitLab: id_tokens with SIGSTORE_ID_TOKEN, aud sigstore",
        )
    return token


def signer_of_key(text: bytes, password: str, *, where: str) -> Signer:
    """Sign with a private key in PEM; arguments and errors are those of ``private_key``."""
    return KeySigner(private_key(text, password, where=where))


def keyless_signer() -> Signer:
    """Sign with the job's identity.

    Raises:
        UsageError: the library that does it is not installed.
    """
    require_sigstore("--sign-key keyless")
    return KeylessSigner()
