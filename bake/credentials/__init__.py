"""Logins of registries: where they come from, and how docker's own programs get them without a file that holds one."""

from __future__ import annotations

from bake.credentials.docker_login import docker_login_env
from bake.credentials.keyring import Keyring
from bake.credentials.login import Login

__all__ = ["Keyring", "Login", "docker_login_env"]
