"""The credential helper that docker's programs start; run as a script, which knows no secret.

``python -I -S helper.py SOCKET get|list|store|erase``

It speaks the protocol of docker-credential-helpers (an address or JSON on standard input, JSON on standard output) and
hands each question to the process that waits at SOCKET.
"""

from __future__ import annotations

import json
import socket
import sys


def main(arguments: list[str]) -> int:
    """Ask and print; 1 when there is no answer, as the protocol wants it."""
    path, action = arguments
    question = json.dumps({"action": action, "input": sys.stdin.read()}).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            connection.sendall(question)
            with connection.makefile("rb") as answered:
                answer = json.loads(answered.readline())
    except (OSError, ValueError) as error:
        answer = {"status": 1, "output": f"the login cannot be asked for: {error}"}
    sys.stdout.write(answer["output"])
    return int(answer["status"])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
