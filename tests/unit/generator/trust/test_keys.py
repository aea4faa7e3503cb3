"""Keys as cosign and openssl write them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from bake.errors import UsageError
from generator.resolve.signing import Signing, chosen_signing, signer_of, trust_of
from generator.resolve.site import load_site
from generator.trust.keys import private_key, public_key

COSIGN = Path(__file__).parent / "cosign"
Keys = Callable[..., tuple[Path, Path]]


@pytest.mark.parametrize("file", ["ec.key", "sigstore.key"])
def test_keys_that_cosign_made_are_read_with_their_password_alone(file: str) -> None:
    text = (COSIGN / file).read_bytes()
    assert private_key(text, "hello", where=file).public_key.keytype == "ecdsa"
    for other in ("", "hell"):
        with pytest.raises(UsageError, match="it has a password, and another one than was given"):
            private_key(text, other, where=file)


def test_a_key_of_cosign_takes_no_more_memory_than_cosign_gives_it() -> None:
    text = (COSIGN / "ec.key").read_text()
    head, *body, end = text.strip().splitlines()
    data = json.loads(base64.b64decode("".join(body)))
    data["kdf"]["params"]["N"] = 1 << 30
    grown = f"{head}\n{base64.b64encode(json.dumps(data).encode()).decode()}\n{end}\n"
    with pytest.raises(UsageError, match="no private key"):
        private_key(grown.encode(), "hello", where="key")


def test_an_encrypted_key_of_openssl(write_keys: Keys) -> None:
    private, public = write_keys("lab", "word")
    text = private.read_bytes()
    assert private_key(text, "word", where="key").public_key == public_key(public)
    with pytest.raises(UsageError, match="the key has a password") as told:
        private_key(text, "", where="key")
    assert "GENERATOR_SIGN_PASSWORD" in str(told.value)
    with pytest.raises(UsageError, match="another one than was given"):
        private_key(text, "other", where="key")


def test_a_password_in_vain_is_told(write_keys: Keys) -> None:
    with pytest.raises(UsageError, match="the key has no password"):
        private_key(write_keys("lab")[0].read_bytes(), "word", where="key")


def test_a_key_that_every_cosign_signs_with_alike() -> None:
    for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        made = private_key(text, "", where="key")
        made.public_key.verify_signature(made.sign(b"text"), b"text")
    others = (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256K1()))
    for other in others:
        text = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with pytest.raises(UsageError, match="this kind of key"):
            private_key(text, "", where="key")


@pytest.mark.parametrize("text", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_told_without_its_content(text: bytes, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as told:
        private_key(text, "word", where="the place")
    assert "the place" in str(told.value)
    assert "word" not in str(told.value).replace("password", "")
    (tmp_path / "x.pub").write_bytes(text)
    with pytest.raises(UsageError, match="no public key"):
        public_key(tmp_path / "x.pub")


def test_a_key_comes_from_a_file_or_from_its_variable(write_keys: Keys, tmp_path: Path) -> None:
    private, _ = write_keys("lab", "word")
    (tmp_path / "password").write_text("word\n")
    of_file = chosen_signing(str(private), shown=True, password="", file=tmp_path / "password")
    of_variable = chosen_signing(private.read_text(), shown=False, password="word", file=None)
    for signing in (of_file, of_variable):
        assert signer_of(signing) is not None
        assert "word" not in repr(signing)
        assert "BEGIN" not in repr(signing)
    assert chosen_signing(None, shown=False, password="word", file=None) is None
    assert chosen_signing("", shown=False, password="", file=None) is None


def test_a_key_on_the_command_line_and_two_passwords_are_refused(write_keys: Keys, tmp_path: Path) -> None:
    private, _ = write_keys("lab")
    with pytest.raises(UsageError, match="every user of this machine sees the command line"):
        chosen_signing(private.read_text(), shown=True, password="", file=None)
    with pytest.raises(UsageError, match="two passwords"):
        chosen_signing(str(private), shown=True, password="a", file=tmp_path / "b")
    with pytest.raises(UsageError, match="No such file"):
        signer_of(Signing(key=str(tmp_path / "absent")))


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("before", ["\n", " \n", "\ufeff", "\ufeff\n", "# of the lab\n"])
def test_a_key_in_its_variable_may_have_something_before_it(write_keys: Keys, before: str) -> None:
    text = before + write_keys("lab")[0].read_text()
    assert signer_of(chosen_signing(text, shown=False, password="", file=None)) is not None
    with pytest.raises(UsageError, match="every user of this machine sees the command line"):
        chosen_signing(text, shown=True, password="", file=None)


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize(
    "wrap",
    [
        base64_of,
        lambda text: "\n".join(base64_of(text)[at : at + 64] for at in range(0, 900, 64)),
        lambda text: "".join(text.splitlines()[1:-1]),
        lambda text: "".join(text.splitlines()[1:-1]) * 40,
        lambda text: "".join(text.splitlines()[1:-1]) + "\0",
    ],
    ids=["base64", "base64 in lines", "its body alone", "long", "NUL"],
)
def test_what_may_be_a_key_is_never_shown(write_keys: Keys, wrap: Callable[[str], str], *, shown: bool) -> None:
    secret = wrap(write_keys("lab")[0].read_text())
    with pytest.raises(UsageError, match="neither a key in PEM nor the name of a file") as told:
        signer_of(chosen_signing(secret, shown=shown, password="", file=None))
    assert secret[:16] not in str(told.value)
    assert ("--sign-key" if shown else "GENERATOR_SIGN_KEY") in str(told.value)


@pytest.mark.parametrize("password", ["the-word-itself", "w" * 5000, "nul\0word"])
def test_a_password_in_place_of_its_file_is_not_shown(write_keys: Keys, password: str) -> None:
    with pytest.raises(UsageError, match="--sign-password-file") as told:
        chosen_signing(str(write_keys("lab")[0]), shown=True, password="", file=Path(password))
    assert password[:8] not in str(told.value)


def test_a_password_need_not_be_utf_8(write_keys: Keys, tmp_path: Path) -> None:
    private, _ = write_keys("lab", "w\u00f6rd")
    (tmp_path / "password").write_bytes("w\u00f6rd\n".encode())
    assert signer_of(chosen_signing(str(private), shown=True, password="", file=tmp_path / "password")) is not None
    with pytest.raises(UsageError, match="another one than was given"):
        signer_of(chosen_signing(str(private), shown=False, password="w\udcf6rd", file=None))


def test_trust_stands_in_the_site_file(write_keys: Keys, tmp_path: Path) -> None:
    write_keys("lab")
    site = tmp_path / "site.toml"
    site.write_text(
        '[trust]\nkeys = ["lab.pub"]\n[[trust.identities]]\nissuer = "https://ci.example"\nidentity-regexp = "lab/.*"\n'
    )
    trust = trust_of(load_site(site))
    assert list(trust.keys) == ["lab.pub"]
    assert str(trust.identities[0]) == "lab/.* (https://ci.example)"
    site.write_text("")
    assert not trust_of(load_site(site))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[trust]\nkeys = ["absent.pub"]\n', "No such file"),
        ('[[trust.identities]]\nissuer = "https://ci.example"\n', "give one of identity and identity-regexp"),
        ('[[trust.identities]]\nissuer = "x"\nidentity-regexp = "("\n', "no regular expression"),
        ('[trust]\nkey = "lab.pub"\n', "keys"),
        ("[trust]\n", "line 1: trust: it names nobody.*leave .trust. out"),
        ('registry = "r.example"\n[trust]\nkeys = []\nidentities = []\n', "line 2: trust: it names nobody"),
    ],
)
def test_mistakes_in_it_are_told(text: str, message: str, tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(text)
    with pytest.raises(UsageError, match=message) as told:
        trust_of(load_site(site))
    assert str(tmp_path) in str(told.value)


def test_a_public_key_in_place_of_a_private_one(write_keys: Keys) -> None:
    _, public = write_keys("lab")
    assert public_key(public).keytype == "ecdsa"
    text = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(UsageError, match="no private key"):
        private_key(text.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "", where="key")
