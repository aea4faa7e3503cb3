"""Host-side assets: files that a bake needs on this machine, fetched once and checked."""

from bake.assets.fetch import Fetched, Watcher, fetch
from bake.assets.request import Request
from bake.assets.store import Leftover, State, Store

__all__ = ["Fetched", "Leftover", "Request", "State", "Store", "Watcher", "fetch"]
