"""Talks to registries over HTTP: OCI Distribution Specification, with docker's logins.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md
"""

from __future__ import annotations

from bake.registry.answer import Answer, Outcome, Pushed
from bake.registry.client import Registry
from bake.registry.texts import TEXTS, failure_of

__all__ = ["TEXTS", "Answer", "Outcome", "Pushed", "Registry", "failure_of"]
