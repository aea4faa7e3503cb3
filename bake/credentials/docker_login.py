"""Lends given logins to the docker command line: no file, argument or variable of the client ever holds one.

The client gets a configuration folder of its own, for the time of one run: the user's settings and everything beside
them stay (links), only the place of the logins is another. There it finds a credential helper, which asks this process.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bake.credentials.agent import Agent
from bake.errors import EnvironmentUnfit
from bake.temporary import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bake.credentials.keyring import Keyring

NAME = "image-uplift"
HELPER = Path(__file__).with_name("helper.py")
_CONFIG = "config.json"
_LOGINS = ("auths", "credsStore", "credHelpers")
_SOCKET_LENGTH = 100  # bytes; the kernel takes 107 (unix(7))


@contextmanager
def docker_login_env(keyring: Keyring, environ: Mapping[str, str] | None = None) -> Iterator[dict[str, str]]:
    """Give the environment variables with which docker's programs use the keyring, while it lasts.

    Without given logins there are none: docker has its own store then.

    Args:
        environ: the environment; None: the process's own.

    Raises:
        EnvironmentUnfit: the temporary folder lets no program run, or docker's configuration cannot be read.

    """
    if not keyring.given:
        yield {}
        return
    environ = os.environ if environ is None else environ
    own = _own_folder(environ)
    with temporary_folder("image-uplift-login-", _short_folder()) as folder:
        _check_runs(folder)
        socket, programs, config = folder / "agent", folder / "bin", folder / "config"
        programs.mkdir()
        config.mkdir()
        _write_helper(programs / f"docker-credential-{NAME}", socket)
        _write_config(own, config)
        with Agent(socket, keyring):
            yield {
                "DOCKER_CONFIG": str(config),
                # buildx keeps its builders in docker's folder unless told otherwise.
                "BUILDX_CONFIG": environ.get("BUILDX_CONFIG") or str(own / "buildx"),
                "PATH": f"{programs}{os.pathsep}{environ.get('PATH', os.defpath)}",
            }


def _own_folder(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or Path.home()) / ".docker").absolute()


def _short_folder() -> str | None:
    """A socket's path is short: a deep TMPDIR gives way to /tmp."""
    chosen = os.environ.get("TMPDIR", "")
    return "/tmp" if len(os.fsencode(chosen)) > _SOCKET_LENGTH - len("/image-uplift-login-12345678/agent") else None  # noqa: S108


def _check_runs(folder: Path) -> None:
    if os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0):
        raise EnvironmentUnfit(
            "no program may run there (mounted noexec), and docker asks a program for the login",
            where=str(folder.parent),
            remedy="set TMPDIR to a folder that is not mounted so, or use `docker login` in place of --username",
        )


def _write_helper(path: Path, socket: Path) -> None:
    words = shlex.join([sys.executable, "-I", "-S", str(HELPER), str(socket)])
    path.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    path.chmod(0o700)


def _write_config(own: Path, config: Path) -> None:
    """Write the user's settings without logins, and link all that stands beside them (contexts, plugins)."""
    settings = {key: value for key, value in _settings(own / _CONFIG).items() if key not in _LOGINS}
    file = config / _CONFIG
    file.touch(mode=0o600)
    file.write_text(json.dumps({**settings, "credsStore": NAME}), encoding="utf-8")
    if own.is_dir():
        for entry in own.iterdir():
            if entry.name != _CONFIG:
                (config / entry.name).symlink_to(entry)


def _settings(file: Path) -> dict[str, Any]:
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as failure:
        raise EnvironmentUnfit(
            f"docker's configuration cannot be read: {failure}", where=str(file), remedy="mend or remove that file"
        ) from None
    return read if isinstance(read, dict) else {}
