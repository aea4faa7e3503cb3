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
    """What was said about signing: a file, ``keyless``, or a key itself; and the key's password."""

    key: str = field(repr=False)
    password: str = field(default="", repr=False)


def chosen_signing(key: str | None, *, shown: bool, password: str, file: Path | None) -> Signing | None:
    """Put together what was given; None: nothing is signed.

    Args:
        key: as ``Signing`` has it. shown: the key stood on the command line. password: from the environment. file: that
            holds the password.

    Raises:
        UsageError: there are two passwords, or one can't be read; a key itself stood on the command line.
    """
    if not key:
        return None
    if key.startswith(_PEM) and shown:
        raise UsageError("every user of this machine sees the command line", where=OPTION, remedy=f"set {KEY} to it")
    if file is not None and password:
        raise UsageError(f"there are two passwords: {FILE_OPTION}, and {PASSWORD}", where=PASSWORD, remedy="give one")
    if file is not None:
        password = _read(file, FILE_OPTION).decode(errors="replace").rstrip("\r\n")
    return Signing(key=key, password=password)


def signer_of(signing: Signing | None) -> Signer | None:
    """Give what signs.

    Raises:
        UsageError: the key can't be read.
    """
    if signing is None:
        return None
    if signing.key == KEYLESS:
        return keyless_signer()
    if signing.key.startswith(_PEM):
        return signer_of_key(signing.key.encode(), signing.password, where=KEY)
    return signer_of_key(_read(Path(signing.key), OPTION), signing.password, where=signing.key)


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


def _read(file: Path, option: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{file} can't be read: {error.strerror or error}", where=option, remedy="give a readable file"
        ) from None
