"""Answers credential helpers over a unix socket, from memory.

Protocol: https://github.com/docker/docker-credential-helpers (README, "Development").
"""

from __future__ import annotations

import json
import socketserver
import threading
from typing import TYPE_CHECKING, cast

from bake.credentials.keyring import host_of
from bake.errors import UpliftError

if TYPE_CHECKING:
    from pathlib import Path

    from bake.credentials.keyring import Keyring

# docker takes exactly this text for "there is none", and goes on without a login.
_NOT_FOUND = "credentials not found in native keychain"


class _Question(socketserver.StreamRequestHandler):
    """One connection: one line of JSON in, one out."""

    timeout = 10

    def handle(self) -> None:
        agent = cast("Agent", self.server)
        try:
            asked = json.loads(self.rfile.readline())
            status, output = agent.answer(str(asked["action"]), str(asked["input"]))
        except (OSError, ValueError, KeyError, TypeError):
            return
        self.wfile.write(json.dumps({"status": status, "output": output}).encode() + b"\n")


class Agent(socketserver.ThreadingUnixStreamServer):
    """Waits at a socket while it is entered; the folder of the socket decides who may ask.

    Args:
        path: of the socket. keyring: what is answered from.

    """

    daemon_threads = True

    def __init__(self, path: Path, keyring: Keyring) -> None:
        super().__init__(str(path), _Question)
        self._keyring = keyring
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="login-agent", daemon=True)

    def __enter__(self) -> Agent:  # noqa: PYI034 - typing.Self is 3.11
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    def answer(self, action: str, text: str) -> tuple[int, str]:
        """Answer one question: exit status and output of the helper."""
        if action == "list":
            return 0, json.dumps({host: login.username for host, login in self._keyring.given.items()})
        if action != "get":
            return 1, f"{action} is refused: logins are only lent here; use `docker login` yourself"
        try:
            login = self._keyring.login_for(text)
        except UpliftError as failure:
            return 1, str(failure)
        if login is None:
            return 1, _NOT_FOUND
        return 0, json.dumps({"ServerURL": host_of(text), "Username": login.username, "Secret": login.secret})

    def handle_error(self, *_: object) -> None:
        """Say nothing: who went away needs no answer."""
