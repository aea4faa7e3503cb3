"""Keys in files: private ones as cosign and openssl write them, public ones in PEM.

Cosign's own private keys (``ENCRYPTED SIGSTORE PRIVATE KEY``) are PKCS #8 in NaCl's secretbox, with a key that scrypt
makes of a password (go-securesystemslib, encrypted/encrypted.go).
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from bake.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
    from securesystemslib.signer import CryptoSigner, SSlibKey

_KINDS = "ECDSA (P-256, P-384, P-521) or RSA (2048 to 4096 bits)"
_CURVES, _RSA_BITS = ("secp256r1", "secp384r1", "secp521r1"), range(2048, 4097)
_COSIGN = re.compile(rb"-----BEGIN ENCRYPTED (?:SIGSTORE|COSIGN) PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END ENCRYPTED")
_SCRYPT = {(1 << power, 8, 1) for power in (15, 16, 17)}  # N, r, p: those that cosign takes; others may take all memory


def private_key(text: bytes, password: str, *, where: str) -> CryptoSigner:
    """Read a private key.

    Args:
        text: PEM. password: that of the key; "" for none. where: what it was read from, for messages.

    Raises:
        UsageError: it is none, is of another kind, or has another password.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    secret = password.encode(errors="surrogateescape")  # as bytes of a variable or file that are no UTF-8 are kept
    try:
        found = _COSIGN.search(text)
        if found is not None:
            key: PrivateKeyTypes = load_der_private_key(_opened(base64.b64decode(found[1]), secret), None)
        else:
            key = load_pem_private_key(text, secret or None)
        return CryptoSigner(key, _known(key.public_key(), where))
    except TypeError:  # what load_pem_private_key says of a password that is missing, or given in vain
        missing = not secret
        raise UsageError(
            "the key has a password" if missing else "the key has no password, and one is given",
            where=where,
            remedy="set GENERATOR_SIGN_PASSWORD, or give --sign-password-file" if missing else "leave it out",
        ) from None
    except (ValueError, KeyError, UnsupportedAlgorithm):  # their texts may hold parts of the key
        raise UsageError(
            "this is no private key that can be read, or it has a password, and another one than was given",
            where=where,
            remedy="give a key of `cosign generate-key-pair` or in PEM (PKCS #8), and its password",
        ) from None


def public_key(file: Path) -> SSlibKey:
    """Read a public key.

    Raises:
        UsageError: it can't be read, is none, or is of another kind.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        return _known(load_pem_public_key(file.read_bytes()), str(file))
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        reason = getattr(error, "strerror", None) or "it is no public key in PEM"
        raise UsageError(
            f"a trusted key can't be read: {reason}", where=str(file), remedy="mend [trust] of the site file"
        ) from None


def _known(key: PublicKeyTypes, where: str) -> SSlibKey:
    """Take a key of a kind that each cosign signs and checks alike (it takes Ed25519 in two ways)."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from securesystemslib.signer import SSlibKey

    curve = isinstance(key, EllipticCurvePublicKey) and key.curve.name in _CURVES
    if not curve and not (isinstance(key, RSAPublicKey) and key.key_size in _RSA_BITS):
        raise UsageError("this kind of key can't be used", where=where, remedy=f"give one of the kind {_KINDS}")
    scheme = "rsa-pkcs1v15-sha256" if isinstance(key, RSAPublicKey) else None
    return SSlibKey.from_crypto(key, scheme=scheme)


def _opened(content: bytes, password: bytes) -> bytes:
    """Decrypt a key of cosign's.

    Raises:
        ValueError, KeyError: it is none, or has another password.
    """
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox

    data: Any = json.loads(content)
    try:
        kdf, cipher = data["kdf"], data["cipher"]
        n, r, p = params = tuple(kdf["params"][name] for name in ("N", "r", "p"))
        if (kdf["name"], cipher["name"]) != ("scrypt", "nacl/secretbox") or params not in _SCRYPT:
            raise ValueError("another cipher")
        derived = Scrypt(salt=base64.b64decode(kdf["salt"]), length=SecretBox.KEY_SIZE, n=n, r=r, p=p).derive(password)
        opened: bytes = SecretBox(derived).decrypt(
            base64.b64decode(data["ciphertext"]), base64.b64decode(cipher["nonce"])
        )
    except (TypeError, CryptoError) as error:
        raise ValueError(str(error)) from None
    return opened
