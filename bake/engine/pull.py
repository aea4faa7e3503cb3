"""Has an engine pull an image, by docker's own command line, whose login and progress users know."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from bake.credentials import docker_login_env
from bake.errors import EnvironmentUnfit

if TYPE_CHECKING:
    from bake.credentials import Keyring


def pull(image: str, *, keyring: Keyring, context: str | None = None, quiet: bool = False) -> None:
    """Have the engine pull an image; docker's progress goes to stderr.

    Args:
        image: its name. keyring: logins. context: the docker context of the engine; None: the current one. quiet: show
            no progress.

    Raises:
        EnvironmentUnfit: the engine does not get it.
    """
    command = ["docker", *(["--context", context] if context else []), "pull", *(["--quiet"] if quiet else []), image]
    with docker_login_env(keyring) as environment:
        done = subprocess.run(
            command,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL if quiet else sys.stderr,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"status {done.returncode}"
        raise EnvironmentUnfit(f"the engine could not pull it: {said}", where=image)
