"""Signatures in a real registry: made, found, and refused where anything about them is another."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from sigstore.verify import Verifier
from sigstore_models.bundle.v1 import Bundle

from bake.registry import Outcome
from bake.registry.referrers import Artifact, attach
from generator.resolve.signing import Signing, signer_of
from generator.trust import Identity, Mistrusted, Signer, Trust, check
from generator.trust.attached import find, signed
from generator.trust.bundle import KIND
from generator.trust.keys import public_key
from generator.trust.statement import PROVENANCE, SIGNATURE, statement
from tests.loopback import Loopback

COSIGN = Path(__file__).parent / "cosign"
DIGEST, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
NAME = "wheel/x-1"
Keys = Callable[..., tuple[Path, Path]]


class Someone:
    """Signs, and is trusted or not."""

    def __init__(self, write_keys: Keys, name: str) -> None:
        private, self.public = write_keys(name)
        signer = signer_of(Signing(key=str(private)))
        assert signer is not None
        self.signer: Signer = signer
        self.trust = Trust(keys={f"{name}.pub": public_key(self.public)})


@pytest.fixture
def we(write_keys: Keys) -> Someone:
    return Someone(write_keys, "lab")


@pytest.fixture
def others(write_keys: Keys) -> Someone:
    return Someone(write_keys, "others")


def test_a_bundle_is_what_the_specifications_say(we: Someone) -> None:
    text = statement(DIGEST, NAME, SIGNATURE)
    content = we.signer.sign(text)
    # The field names and kinds of sigstore_bundle.proto, held by Sigstore's own models: these know no others.
    parsed = Bundle.from_json(content)
    assert parsed.dsse_envelope is not None
    assert parsed.dsse_envelope.payload == text
    # sigstore-go takes bundles of one signature; and nobody signs the name of a key.
    (signature,) = json.loads(content)["dsseEnvelope"]["signatures"]
    assert list(signature) == ["sig"]
    # DSSE, "Signature Definition"; cosign generate-key-pair makes P-256, and signs with SHA-256.
    kind = b"application/vnd.in-toto+json"
    pae = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(text), text)
    key = load_pem_public_key(we.public.read_bytes())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(base64.b64decode(signature["sig"]), pae, ec.ECDSA(hashes.SHA256()))
    # internal/key/svkeypair.go of cosign.
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    hint = base64.b64encode(hashlib.sha256(der).digest()).decode()
    assert json.loads(content)["verificationMaterial"]["publicKey"] == {"hint": hint}


def test_a_signature_is_the_statement_that_cosign_makes() -> None:
    # signDigestBundle in cmd/cosign/cli/sign/sign.go; in-toto's name of a subject comes on top.
    assert json.loads(statement(DIGEST, NAME, SIGNATURE)) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": NAME, "digest": {"sha256": "a" * 64}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    }


def test_what_is_signed_is_found_with_who_signed_it(lab: Loopback, we: Someone) -> None:
    image, registry = lab.put_image("round/trip:1"), lab.registry()
    said = {
        SIGNATURE: statement(str(image.digest), NAME, SIGNATURE),
        PROVENANCE: statement(str(image.digest), NAME, PROVENANCE, {"a": 1}),
    }
    assert attach(registry, image, signed(registry, image, said, we.signer, Trust())).outcome is Outcome.ANSWERS
    found = find(registry, image, we.trust)
    assert sorted((entry.by, entry.predicate_type) for entry in found.verified) == [
        ("lab.pub", SIGNATURE),
        ("lab.pub", PROVENANCE),
    ]
    (entry,) = find(registry, image, we.trust, kind=PROVENANCE).verified
    assert entry.predicate == {"a": 1}
    # The same again is not signed again, and a statement with another content is.
    assert signed(registry, image, said, we.signer, Trust()) == ()
    changed = {PROVENANCE: statement(str(image.digest), NAME, PROVENANCE, {"a": 2})}
    assert len(signed(registry, image, changed, we.signer, Trust())) == 1


def test_an_image_that_nobody_or_somebody_else_signed(lab: Loopback, we: Someone, others: Someone) -> None:
    image, registry = lab.put_image("some/body:1"), lab.registry()
    assert find(registry, image, we.trust).why_none == "not signed"
    said = {SIGNATURE: statement(str(image.digest), NAME, SIGNATURE)}
    attach(registry, image, signed(registry, image, said, others.signer, Trust()))
    found = find(registry, image, we.trust)
    assert (found.verified, found.why_none) == ((), "signed by nobody who is trusted here")
    # What others signed keeps nobody from signing.
    attach(registry, image, signed(registry, image, said, we.signer, Trust()))
    assert [entry.by for entry in find(registry, image, we.trust).verified] == ["lab.pub"]


def test_a_signature_holds_for_one_image_and_name(we: Someone) -> None:
    content = we.signer.sign(statement(DIGEST, NAME, SIGNATURE))
    assert we.trust.check(content, digest=DIGEST, name=NAME).by == "lab.pub"
    with pytest.raises(Mistrusted, match=r"what lab\.pub signed is another image"):
        we.trust.check(content, digest=OTHER, name=NAME)
    with pytest.raises(Mistrusted, match="signed it as 'wheel/x-1', and not as 'wheel/x-2'"):
        we.trust.check(content, digest=DIGEST, name="wheel/x-2")


def changed(content: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    data = json.loads(content)
    change(data)
    return json.dumps(data).encode()


def test_a_changed_statement_or_kind_of_it_is_not_what_was_signed(we: Someone) -> None:
    content = we.signer.sign(statement(DIGEST, NAME, SIGNATURE))
    payload = base64.b64encode(statement(OTHER, NAME, SIGNATURE)).decode()
    other = changed(content, lambda data: data["dsseEnvelope"].update(payload=payload))
    with pytest.raises(Mistrusted, match="nobody who is trusted"):
        we.trust.check(other, digest=OTHER)
    twice = changed(content, lambda data: data["dsseEnvelope"]["signatures"].append({"sig": "AAAA"}))
    kind = changed(content, lambda data: data["dsseEnvelope"].update(payloadType="text/plain"))
    for broken in (twice, kind):
        with pytest.raises(Mistrusted, match="no bundle of a signed statement"):
            we.trust.check(broken, digest=DIGEST)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"mediaType": 1}', b"\xff", b"[" * 100_000, b'{"mediaType": "x", "dsseEnvelope": {}}'],
)
def test_what_is_no_bundle_is_told_in_a_sentence(content: bytes, we: Someone) -> None:
    with pytest.raises(Mistrusted, match="no bundle"):
        we.trust.check(content, digest=DIGEST)


@pytest.mark.parametrize(
    "text",
    [b"[]", b"{}", b"[" * 100_000, b'{"_type": "https://in-toto.io/Statement/v1", "subject": [1]}', b'{"_type": "x"}'],
)
def test_a_signed_text_that_is_no_statement(text: bytes, we: Someone) -> None:
    with pytest.raises(Mistrusted):
        we.trust.check(we.signer.sign(text), digest=DIGEST)


def test_what_else_refers_to_the_image_keeps_no_signature_from_being_found(lab: Loopback, we: Someone) -> None:
    image, registry = lab.put_image("with/others:1"), lab.registry()
    said = {SIGNATURE: statement(str(image.digest), NAME, SIGNATURE)}
    odd = [Artifact(kind=KIND, content=content) for content in (b"", b"[" * 100_000, b"{}")]
    note = Artifact(kind="text/plain", content=b"a note")
    attach(registry, image, [*odd, note, *signed(registry, image, said, we.signer, Trust())])
    assert [entry.by for entry in find(registry, image, we.trust, name=NAME, kind=SIGNATURE).verified] == ["lab.pub"]


@pytest.fixture
def known_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sigstore's roots as the library brings them, instead of those of today."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    verifier = Verifier.production(offline=True)
    monkeypatch.setattr(check, "_sigstore", lambda: verifier)


KEYLESS = (COSIGN / "keyless.sigstore.json").read_bytes()
KEYLESS_DIGEST = "sha256:732112270d7e59418a8c080b134b24cabd67d250d0d0147a97ed95ba5c280aa4"
ISSUER, PERSON = "https://github.com/login/oauth", "cody@soyland.com"


@pytest.mark.usefixtures("known_roots")
@pytest.mark.parametrize("who", [{"identity": PERSON}, {"pattern": r".*@soyland\.com"}])
def test_a_keyless_signature_of_cosign_counts_for_its_identity(who: dict[str, str]) -> None:
    trust = Trust(identities=(Identity(issuer=ISSUER, **who),))
    assert ISSUER in trust.check(KEYLESS, digest=KEYLESS_DIGEST).by
    with pytest.raises(Mistrusted, match="another image"):
        trust.check(KEYLESS, digest=DIGEST)


@pytest.mark.usefixtures("known_roots")
@pytest.mark.parametrize(
    "identity",
    [
        Identity(issuer=ISSUER, identity="somebody@soyland.com"),
        Identity(issuer="https://accounts.example", identity=PERSON),
        Identity(issuer=ISSUER, pattern="cody@soyland"),  # all of an identity has to fit
        Identity(issuer="https://accounts.example", pattern=".*"),
    ],
)
def test_a_keyless_signature_of_somebody_else(identity: Identity) -> None:
    with pytest.raises(Mistrusted, match="nobody who is trusted"):
        Trust(identities=(identity,)).check(KEYLESS, digest=KEYLESS_DIGEST)


@pytest.mark.usefixtures("known_roots")
@pytest.mark.parametrize("last", ["signed", "forged"])
def test_two_envelopes_in_one_bundle_bring_no_statement_that_nobody_signed(last: str) -> None:
    trust = Trust(identities=(Identity(issuer=ISSUER, identity=PERSON),))
    data = json.loads(KEYLESS)
    signed_ = json.dumps(data.pop("dsseEnvelope"))
    payload = base64.b64encode(statement(DIGEST, NAME, SIGNATURE)).decode()
    forged = json.dumps({**json.loads(signed_), "payload": payload})
    first, second = (forged, signed_) if last == "signed" else (signed_, forged)
    content = f'{json.dumps(data)[:-1]}, "dsseEnvelope": {first}, "dsseEnvelope": {second}}}'
    with pytest.raises(Mistrusted):
        trust.check(content.encode(), digest=DIGEST)


@pytest.mark.usefixtures("known_roots")
def test_a_changed_keyless_signature(we: Someone) -> None:
    trust = Trust(identities=(Identity(issuer=ISSUER, identity=PERSON),))
    data = copy.deepcopy(json.loads(KEYLESS))
    data["dsseEnvelope"]["payload"] = base64.b64encode(statement(KEYLESS_DIGEST, NAME, SIGNATURE)).decode()
    with pytest.raises(Mistrusted):
        trust.check(json.dumps(data).encode(), digest=KEYLESS_DIGEST)
    with pytest.raises(Mistrusted):  # who trusts a key alone trusts no identity
        we.trust.check(KEYLESS, digest=KEYLESS_DIGEST)
