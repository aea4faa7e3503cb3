"""What signs here, and whose signatures count: the options, variables and the site file, read into keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bake.errors import UsageError
from generator.trust import Identity, Trust, keyless_signer, signer_of_key
from generator.trust.check import require_sigstore
from generator.trust.keys import public_key
from generator.trust.signer import KEYLESS

if TYPE_CHECKING:
    from generator.resolve.site import SiteFile
    from generator.trust import Signer

OPTION, FILE_OPTION = "--sign-key", "--sign-password-file"
KEY, PASSWORD = "GENERATOR_SIGN_KEY", "GENERATOR_SIGN_PASSWORD"
_PEM = "-----BEGIN"


@dataclass(frozen=True, kw_only=True)
class Signing:
    """What was said about signing, and where: a file, ``keyless``, or a key itself; and the key's password."""

    key: str = field(repr=False)
    password: str = field(default="", repr=False)
    where: str = OPTION


def chosen_signing(key: str | None, *, shown: bool, password: str, file: Path | None) -> Signing | None:
    """Put together what was given; None: nothing is signed.

    Args:
        key: as ``Signing`` has it. shown: the key stood on the command line. password: from the environment. file: that
            holds the password.

    Raises:
        UsageError: there are two passwords, or one can't be read; a key itself stood on the command line.
    """
    key = (key or "").strip().lstrip("\ufeff")
    if not key:
        return None
    if _PEM in key and shown:
        raise UsageError("every user of this machine sees the command line", where=OPTION, remedy=f"set {KEY} to it")
    if file is not None and password:
        raise UsageError(f"there are two passwords: {FILE_OPTION}, and {PASSWORD}", where=PASSWORD, remedy="give one")
    if file is not None:
        text = _read(str(file), FILE_OPTION, "this does not name a file that can be read")
        password = text.decode(errors="surrogateescape").rstrip("\r\n")
    return Signing(key=key, password=password, where=OPTION if shown else KEY)


def signer_of(signing: Signing | None) -> Signer | None:
    """Give what signs.

    Raises:
        UsageError: the key can't be read.
    """
    if signing is None:
        return None
    if signing.key == KEYLESS:
        return keyless_signer()
    if _PEM in signing.key:
        return signer_of_key(signing.key.encode(errors="replace"), signing.password, where=signing.where)
    text = _read(signing.key, signing.where, "this holds neither a key in PEM nor the name of a file that can be read")
    return signer_of_key(text, signing.password, where=signing.key)


def trust_of(place: SiteFile) -> Trust:
    """Give whose signatures count at a place.

    Raises:
        UsageError: a key can't be read; a library is missing.
    """
    trusted = place.site.trust
    if trusted.identities:
        require_sigstore("trust.identities of the site file")
    files = {name: place.path(name) for name in trusted.keys}
    return Trust(
        keys={name: public_key(file) for name, file in files.items() if file is not None},
        identities=tuple(
            Identity(issuer=entry.issuer, identity=entry.identity, pattern=entry.identity_regexp)
            for entry in trusted.identities
        ),
    )


def _read(name: str, where: str, trouble: str) -> bytes:
    """Read a file; what was given for its name is not shown, since it may be the secret itself."""
    try:
        return Path(name).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL
        reason = getattr(error, "strerror", None) or "it is no name"
        raise UsageError(f"{trouble}: {reason}", where=where, remedy="give a readable file") from None
