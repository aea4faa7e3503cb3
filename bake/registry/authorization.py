"""Answers a registry's challenge: Basic (RFC 7617), or a token of its token server (Bearer).

https://distribution.github.io/distribution/spec/auth/token/ and …/spec/auth/oauth/
"""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from bake.registry.answer import Outcome

if TYPE_CHECKING:
    from bake.credentials import Keyring, Login
    from bake.registry.answer import Answer
    from bake.registry.transport import Transport

_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_LIFETIME = 60.0  # seconds of a token whose answer does not say it (the specification's own figure)
_LONGEST = 86_400.0
_CLIENT = "image-uplift"


class Authorizer:
    """Keeps what was granted by one registry: tokens by what they were asked for, until they expire.

    Args:
        host: the registry. keyring: where its login is found. transport: how to ask.

    """

    def __init__(self, host: str, keyring: Keyring, transport: Transport) -> None:
        self._host = host
        self._keyring = keyring
        self._transport = transport
        self._basic = ""
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[str, float]] = {}

    def header(self, purpose: str) -> str:
        """Give the ``Authorization`` that is known for a purpose; "" when there is none, or no longer."""
        token, until = self._tokens.get(purpose, ("", 0.0))
        return f"Bearer {token}" if token and time.monotonic() < until else self._basic

    def meet(self, challenge: str, purpose: str, used: str) -> bool:
        """Get what a challenge asks for; False when nothing better than what was used can be had.

        Args:
            challenge: the header ``WWW-Authenticate``. purpose: what it is for, any text. used: the ``Authorization``
                that was refused, "" for none; another thread may have got a new one since.

        """
        scheme = challenge.partition(" ")[0].lower()
        fields = dict(_CHALLENGE.findall(challenge))
        with self._lock:
            if self.header(purpose) not in {"", used}:
                return True
            if scheme == "basic":
                login = self._keyring.login_for(self._host)
                self._basic = login.basic if login and not login.is_identity_token else ""
            elif scheme == "bearer" and fields.get("realm", "").startswith(("http://", "https://")):
                self._token(fields, purpose)
            return self.header(purpose) not in {"", used}

    def _token(self, fields: dict[str, str], purpose: str) -> None:
        query = [("service", fields["service"])] if fields.get("service") else []
        query += [("scope", scope) for scope in fields.get("scope", "").split()]
        data = self._exchange(fields["realm"], query, self._login_for(fields["realm"])).data
        token = data.get("token") or data.get("access_token")
        lifetime = data.get("expires_in")
        seconds = float(min(lifetime, _LONGEST)) if isinstance(lifetime, (int, float)) and lifetime > 0 else _LIFETIME
        self._tokens[purpose] = (token if isinstance(token, str) else "", time.monotonic() + 0.9 * seconds)

    def _login_for(self, realm: str) -> Login | None:
        """Give the login, unless the token server would get it unprotected and the registry itself does not."""
        if realm.startswith("http://") and not self._transport.insecure:
            return None
        return self._keyring.login_for(self._host)

    def _exchange(self, realm: str, query: list[tuple[str, str]], login: Login | None) -> Answer:
        send, mark = self._transport.send, "&" if "?" in realm else "?"
        if login is None:
            return send("GET", f"{realm}{mark}{urlencode(query)}")
        if login.is_identity_token:
            form = {"grant_type": "refresh_token", "client_id": _CLIENT, "refresh_token": login.secret}
            body = urlencode([*form.items(), *query]).encode()
            return send("POST", realm, {"Content-Type": "application/x-www-form-urlencoded"}, body=body)
        url = f"{realm}{mark}{urlencode([*query, ('account', login.username)])}"
        answer = send("GET", url, authorization=login.basic)
        # A login that is refused must not hide what the registry gives to anyone; what it then refuses is told.
        return send("GET", f"{realm}{mark}{urlencode(query)}") if answer.outcome is Outcome.LOGIN else answer
