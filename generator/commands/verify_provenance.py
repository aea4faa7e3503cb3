"""Checks an image in a registry by what was signed about it: who, which image, and made from what."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from bake.errors import EnvironmentUnfit, UsageError
from bake.reference import parse_reference
from bake.registry import Registry
from generator.trust import provenance
from generator.trust.attached import find
from generator.trust.statement import PROVENANCE, SBOM, SIGNATURE, VERIFICATION
from generator.verification.report import Row, VerificationReport, parse_report

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bake.reference import Reference
    from generator.recipe import Recipe
    from generator.resolve.facts import Facts
    from generator.trust import Verified

_TIMEOUT = 30.0  # seconds; statements are read one after the other
_NAMES = {SIGNATURE: "signature", PROVENANCE: "provenance", SBOM: "sbom", VERIFICATION: "verification"}


def check(recipe: Recipe, facts: Facts, image: str) -> VerificationReport:
    """Check what is signed about an image against a recipe with its lock.

    Args:
        image: its name in a registry, by tag or digest.

    Raises:
        UsageError: nobody is trusted here. EnvironmentUnfit: the registry does not have it, or does not answer.
    """
    if not facts.trust:
        raise UsageError(
            "nobody is trusted here, so nobody's signature counts",
            where="--provenance",
            remedy='write [trust] with keys = ["FILE.pub"] into the site file',
        )
    reference = parse_reference(image, where="IMAGE")
    registry = Registry(reference.registry, ca_bundle=facts.ca_bundle, keyring=facts.keyring, timeout=_TIMEOUT)
    digest = reference.digest or registry.digest_of(reference)
    if digest is None:
        raise EnvironmentUnfit("the registry does not have the image", where=image, remedy="mend the name")
    by_digest = dataclasses.replace(reference, tag=None, digest=digest)
    found = find(registry, by_digest, facts.trust)
    signed = {kind: [entry for entry in found.verified if entry.predicate_type == kind] for kind in _NAMES}
    rows = list(_signatures(by_digest, signed, found.why_none))
    if signed[PROVENANCE]:
        candidates = [list(_origin(entry, recipe, facts)) for entry in signed[PROVENANCE]]
        rows += min(candidates, key=lambda made: sum(row.status == "fail" for row in made))
    if signed[VERIFICATION]:
        judged = [_passed(entry.predicate, recipe) for entry in signed[VERIFICATION]]
        rows.append(min(judged, key=lambda row: row.status == "fail"))
    return VerificationReport(recipe=recipe.name, image=f"{image.partition('@')[0]}@{digest}", rows=tuple(rows))


def _signatures(image: Reference, signed: Mapping[str, list[Verified]], why_none: str) -> Iterator[Row]:
    """One row for each kind of statement that there has to be: signed by somebody trusted, about this digest."""
    for kind, name in _NAMES.items():
        by = ", ".join(dict.fromkeys(entry.by for entry in signed[kind]))
        yield Row(
            check="signed",
            subject=name,
            expected=f"about {image.digest}",
            found=f"by {by}" if by else why_none if not any(signed.values()) else "not signed",
            status="pass" if by else "fail",
        )


def _origin(entry: Verified, recipe: Recipe, facts: Facts) -> Iterator[Row]:
    """What the image was made from, as its provenance says it and as recipe and lock do."""
    build = _table(entry.predicate.get("buildDefinition"))
    yield _row("recipe", "build type", provenance.BUILD_TYPE, str(build.get("buildType", "")))
    asked = _table(build.get("externalParameters"))
    wanted = provenance.parameters(recipe, facts.documents)
    for name in ("name", "archs"):
        yield _row("recipe", name, _shown(wanted[name]), _shown(asked.get(name)))
    for name in sorted({"recipe", "lock"} & {*wanted, *asked}):
        yield _row(name, "file", _hash(wanted.get(name)), _hash(asked.get(name)))
    listed = build.get("resolvedDependencies")
    made_of = {str(_table(row).get("name", "")): _table(row) for row in (listed if isinstance(listed, list) else ())}
    inputs = provenance.inputs_of(
        recipe, base=facts.base, fetcher=facts.fetcher, checksums=facts.checksums, files=facts.files
    )
    for needed in inputs:
        said = made_of.get(needed.name, {})
        expected, found = _hash(needed.as_data()), _hash(said)
        if needed.digest or not said:
            yield _row("input", needed.name, expected, found)
        else:
            yield Row(check="input", subject=needed.name, expected="no lock names its hash", found=found, status="info")
    version = _table(_table(_table(entry.predicate.get("runDetails")).get("builder")).get("version"))
    yield Row(
        check="made by", subject="image-uplift", expected="", found=_shown(version.get("image-uplift")), status="info"
    )


def _passed(predicate: Mapping[str, Any], recipe: Recipe) -> Row:
    """Whether a report is one of this recipe, says that it passed, and has rows that all did."""
    try:
        report = parse_report(json.dumps(predicate), image="")
    except (ValueError, RecursionError) as error:
        found, good = str(error), False
    else:
        failed = len(report.failed)
        good = report.passed and predicate.get("passed") is True and report.recipe == recipe.name
        found = f"{len(report.rows)} checks of {report.recipe}, {f'{failed} failed' if failed else 'all passed'}"
    return Row(
        check="verification",
        subject="report",
        expected=f"{recipe.name}, passed",
        found=found,
        status="pass" if good else "fail",
    )


def _row(check_: str, subject: str, expected: str, found: str) -> Row:
    same = expected == found != ""
    return Row(check=check_, subject=subject, expected=expected, found=found, status="pass" if same else "fail")


def _table(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}


def _hash(found: Any) -> str:
    """Give the digest of a resource descriptor as one text; "" where it has none."""
    return ", ".join(f"{name}:{value}" for name, value in sorted(_table(_table(found).get("digest")).items()))


def _shown(found: Any) -> str:
    return ", ".join(map(str, found)) if isinstance(found, list) else str(found or "")
