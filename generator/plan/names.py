"""The names of targets and stages: the plan gives them, templates get them as values, who runs a bake knows them.

A target that there is once has the name of its kind.
"""

from __future__ import annotations

TOOLS = "tools"
INVENTORY = "inventory"
EXTRACT = "extract"
PATCH = "patch"
TORCH = "torch"
LAYERS = "layers"
LOCK = "lock"
BUNDLE = "bundle"
WANTED = "wanted"
REQUIREMENTS = "requirements"
TOOLCHAIN = "toolchain"
REBUILD = "rebuild"
IMAGE = "image"
VERIFY = "verify"
COMPILER_CACHE = "compiler-cache"

FETCHER = "fetcher"  # the context that steps with the network start from
TOOLKIT_IMAGE = "toolkit-image"  # the context that the toolkit is taken from, where it comes from an image
FETCHED = "fetched"  # namespace of the cache of what is fetched, which no code of a base writes
COMPILE_STAGE = "compile"  # of a wheel target: the one step that compiles
MOMENT = "MOMENT"  # build argument of the compiler cache's target: another value, and its steps run again


def fetch_target(group: str) -> str:
    """Name the target that fetches a group of files."""
    return f"fetch-{group}"


def source_target(extension: str) -> str:
    """Name the target that fetches an extension's source, or its prebuilt wheel."""
    return f"source-{extension}"


def wheel_target(extension: str) -> str:
    """Name the target that yields an extension's wheel."""
    return f"wheel-{extension}"


def load_stage(extension: str) -> str:
    """Name the stage that puts a saved compiler cache into this builder's."""
    return f"load-{extension}"


def save_stage(extension: str) -> str:
    """Name the stage that makes an artifact of this builder's compiler cache."""
    return f"save-{extension}"


def saved_context(extension: str) -> str:
    """Name the context that holds a saved compiler cache."""
    return f"saved-{extension}"
