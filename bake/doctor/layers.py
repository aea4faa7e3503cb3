"""Holds the layers of the base against the largest one that the target registry takes: those can't be split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bake.doctor.finding import Engine, Finding, Subject, error, ok, warning
from bake.reference import parse_reference
from bake.registry import Registry
from bake.registry.layer_sizes import layers_in, layers_on, listed, too_large
from bake.units import size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bake.reference import Reference

NAME = "layers"
REMEDY = (
    "raise the limit of the registry or of the proxy before it, and layer-limit-mib; or bring the base into {place} by "
    "a way that takes its layers: what is there is not sent again"
)


def check(subject: Subject, engine: Engine) -> Iterator[Finding]:
    """Look at the engine's sizes first, which are uncompressed; only where these are too large, ask the registry."""
    if subject.base is None or not subject.layer_limit:
        return
    limit = size(subject.layer_limit)
    on_engine = layers_on(engine.client, subject.base)
    if on_engine and max(on_engine) <= subject.layer_limit:
        yield ok(NAME, f"no layer of {subject.base} has more than {limit}")
        return
    reference = parse_reference(subject.base)
    layers = layers_in(Registry(reference.registry, ca_bundle=subject.ca_bundle, keyring=subject.keyring), reference)
    if layers is None:
        largest = f"has {size(max(on_engine))} uncompressed" if on_engine else "is not known"
        yield warning(
            NAME,
            f"the largest layer of {subject.base} {largest}, the registry takes {limit} compressed, and layers of a "
            "base can't be split",
            f"if a push is refused with 413: {REMEDY.format(place='the registry')}",
        )
        return
    large = too_large(layers, subject.layer_limit)
    if not large:
        yield ok(NAME, f"no layer of {subject.base} has more than {limit} compressed")
        return
    yield _found(subject, reference, large)


def _found(subject: Subject, base: Reference, large: dict[str, int]) -> Finding:
    """Tell whether the layers that are too large would have to be sent."""
    of_base = f"of {subject.base} exceed {size(subject.layer_limit)} and can't be split"
    if not subject.image:
        return warning(NAME, f"layers {of_base}: {listed(large)}", REMEDY.format(place="the registry"))
    target = parse_reference(subject.image)
    if target.registry == base.registry:
        return ok(NAME, f"layers {of_base}, and {base.registry} has them: {listed(large)}")
    registry = Registry(target.registry, ca_bundle=subject.ca_bundle, keyring=subject.keyring)
    held = {digest: registry.holds(target.repository, digest) for digest in large}
    place = f"{target.registry}/{target.repository}"
    remedy = REMEDY.format(place=place)
    if any(there is False for there in held.values()):
        absent = {digest: count for digest, count in large.items() if not held[digest]}
        return error(NAME, f"layers {of_base}, and {place} does not have them: {listed(absent)}", remedy)
    if any(there is None for there in held.values()):
        return warning(
            NAME, f"layers {of_base}, and {place} does not tell whether it has them: {listed(large)}", remedy
        )
    return ok(NAME, f"layers {of_base}, and {place} has them: {listed(large)}")
