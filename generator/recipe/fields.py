"""The texts and numbers that a recipe holds: what each may be, and what is said where it is something else."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from bake.address import NO_LOGIN, has_login, quoted
from generator.recipe.arch import parse_arch, parse_release
from generator.recipe.section import NonEmpty, matches, texts

# PEP 440, "Public version identifiers" and "Local version identifiers", in the normal form.
_PUBLIC = r"(?:\d+!)?\d+(?:\.\d+)*(?:(?:a|b|rc)\d+)?(?:\.post\d+)?(?:\.dev\d+)?"
_VERSION = re.compile(_PUBLIC)
_PINNED = re.compile(
    rf"[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[A-Za-z0-9._,\s-]+\])?\s*==\s*{_PUBLIC}(?:\+[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*)?"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PYTHONS = re.compile(r">=3\.(\d{1,2}),<3\.(\d{1,2})")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_URL = re.compile(r"https?://[^\s\"'$`\\]+")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
_LOCAL = re.compile(r"[a-z0-9]+(?:\.[a-z0-9]+)*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _pinned(text: str) -> str:
    if not _PINNED.fullmatch(text.strip()):
        raise ValueError(
            f'{quoted(text)} is not pinned; write "name==version", without a wildcard, '
            "so that every bake installs the same"
        )
    return text.strip()


def _without_login(value: Any) -> Any:
    if any(map(has_login, texts(value))):
        raise ValueError(NO_LOGIN)
    return value


def normalised(name: str) -> str:
    """Give a package name in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_name(requirement: str) -> str:
    """Give the normal name of the package in a pinned requirement, without extras."""
    return normalised(re.split(r"[\[=\s]", requirement, maxsplit=1)[0])


def pinned_version(requirement: str) -> str:
    """Give the version in a pinned requirement."""
    return requirement.partition("==")[2].strip()


def is_file_name(text: str) -> bool:
    """Tell whether a text is a plain file name."""
    return _FILE.fullmatch(text) is not None


Arch = Annotated[str, AfterValidator(lambda text: str(parse_arch(text)))]
CudaRelease = Annotated[str, AfterValidator(parse_release)]
Pinned = Annotated[str, AfterValidator(_pinned)]
Version = Annotated[str, matches(_VERSION, 'a version such as "2.1.2" (PEP 440); a local part stands in local')]
LocalVersion = Annotated[str, matches(_LOCAL, 'a local version such as "pt27cu128", without the +')]
Pythons = Annotated[str, matches(_PYTHONS, 'a range of Python releases such as ">=3.10,<3.15"')]
Sha256 = Annotated[str, matches(_SHA256, "a SHA-256 digest: 64 lower-case hexadecimal digits")]
Digest = Annotated[str, matches(_DIGEST, "a digest: sha256: and 64 hexadecimal digits")]
Commit = Annotated[str, matches(_COMMIT, "a commit: 40 lower-case hexadecimal digits")]
NoLogin = BeforeValidator(_without_login)  # before others, whose messages show the value
Url = Annotated[str, NoLogin, matches(_URL, "an http or https address")]
Mirrors = Annotated[dict[NonEmpty, NonEmpty], NoLogin]
Checksums = Annotated[dict[Url, Sha256], NoLogin]
FileName = Annotated[str, matches(_FILE, "a plain file name: letters, digits and . _ + -")]
Variable = Annotated[str, matches(_VARIABLE, "a name of an environment variable: letters, digits and _")]
Gib = Annotated[float, Field(ge=0, le=1_000_000)]
