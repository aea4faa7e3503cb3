"""The server of the tests of assets: `fetch` is tested as users start it."""

from __future__ import annotations

from tests.unit.bake.assets.conftest import sources

__all__ = ["sources"]
