from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from generator.recipe import Recipe, load_recipe
from tests.loopback import Loopback, loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MINIMAL = """\
schema = 2
name = "small"
summary = "A small recipe"

[image]
tag = "small:1"

[base]
image = "base:1"
prefix = "/opt/env"

[stack]
cuda = "13.0"
archs = ["12.0"]
install = ["torch==2.11.0"]
"""


@pytest.fixture
def minimal() -> str:
    return MINIMAL


@pytest.fixture
def demo_text() -> str:
    return (resources.files("generator.recipes") / "demo.toml").read_text(encoding="utf-8")


@pytest.fixture
def write_recipe(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "recipe.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def demo() -> Recipe:
    return load_recipe("demo").recipe


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with loopback(tmp_path_factory.mktemp("registry")) as started:
        yield started


@pytest.fixture
def write_keys(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Write a new pair of keys, ``NAME.key`` and ``NAME.pub``."""

    def write(name: str, password: str = "") -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        private, public = tmp_path / f"{name}.key", tmp_path / f"{name}.pub"
        how = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return private, public

    return write
