"""A token server as large registries have one: it gives out signed tokens that soon expire.

Docker Registry v2 authentication via central service (the GET form) and its OAuth2 form (POST).
"""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from typing_extensions import Self

from tests.engine.network.authority import Authority
from tests.engine.network.switch import Switch

ISSUER, SERVICE = "laboratory tokens", "laboratory"
LEEWAY = 60  # seconds that the registry accepts a token beyond its end (distribution 2.8, registry/auth/token)


class TokenServer:
    """Gives tokens to those who know a password, and to others none.

    Use as a context manager.

    Args:
        switch, authority: where it listens over TLS, and who signs for it.
        accounts: passwords by user. rights: actions by user ("pull", "push"), all of them when not named.
        life: seconds that the registry accepts a token; it can be changed at any time.
        promised: seconds that the client is told (``expires_in``).
    """

    def __init__(
        self,
        switch: Switch,
        authority: Authority,
        accounts: Mapping[str, str],
        *,
        rights: Mapping[str, frozenset[str]] | None = None,
        life: float = 300,
        promised: int = 300,
    ) -> None:
        self._accounts = dict(accounts)
        self._rights = dict(rights or {})
        self.life, self.promised = life, promised
        self.given: list[tuple[str, str]] = []  # who, and for what; in order
        self.refused = 0
        self._authority = authority
        self.address = f"{switch.address}:{switch.free_port()}"
        certificate, key = authority.issue(switch.address)
        self._certificate = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        self._key = private
        host, _, port = self.address.partition(":")
        self._server = ThreadingHTTPServer((host, int(port)), _handler(self))
        self._server.daemon_threads = True
        context = authority.server_context(switch.address)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def settings(self) -> dict[str, str]:
        """What the registry has to know (``auth: token:`` of its configuration)."""
        return {
            "realm": f"https://{self.address}/token",
            "service": SERVICE,
            "issuer": ISSUER,
            "rootcertbundle": str(self._authority.certificate),
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def knows(self, user: str, password: str) -> bool:
        return self._accounts.get(user) == password

    def mint(self, user: str, scope: str) -> str:
        """Sign a token for a scope: ``repository:NAME:pull,push``, several apart by blanks."""
        now = time.time()
        claims = {
            "iss": ISSUER,
            "sub": user,
            "aud": SERVICE,
            "exp": int(now + self.life - LEEWAY),
            "nbf": int(now - 2 * LEEWAY),
            "iat": int(now),
            "jti": uuid.uuid4().hex,
            "access": [self._access(user, entry) for entry in scope.split()],
        }
        der = self._certificate.public_bytes(serialization.Encoding.DER)
        header = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}
        signed = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}"
        r, s = utils.decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def answer(self, user: str, password: str, scope: str) -> dict[str, Any] | None:
        """The token for a request; None for a wrong password."""
        if not self.knows(user, password):
            self.refused += 1
            return None
        self.given.append((user, scope))
        token = self.mint(user, scope)
        return {"token": token, "access_token": token, "expires_in": self.promised}

    def _access(self, user: str, entry: str) -> dict[str, Any]:
        kind, _, rest = entry.partition(":")
        name, _, actions = rest.rpartition(":")
        allowed = self._rights.get(user)
        granted = [action for action in actions.split(",") if allowed is None or action in allowed]
        return {"type": kind, "name": name, "actions": granted}


def _handler(server: TokenServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            fields = parse_qs(urlsplit(self.path).query)
            _, _, encoded = self.headers.get("Authorization", "").partition(" ")
            user, _, password = base64.b64decode(encoded).decode().partition(":")
            self._reply(server.answer(user, password, " ".join(fields.get("scope", []))))

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            fields = {key: " ".join(values) for key, values in parse_qs(self.rfile.read(length).decode()).items()}
            self._reply(server.answer(fields.get("username", ""), fields.get("password", ""), fields.get("scope", "")))

        def _reply(self, content: dict[str, Any] | None) -> None:
            body = json.dumps(content or {"errors": [{"code": "UNAUTHORIZED"}]}).encode()
            self.send_response(200 if content else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: what was asked for is in ``given``."""

    return Handler


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
