"""What a bake takes from elsewhere, held: by hash in a lock, or as files in a bundle."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bake.errors import UsageError
from generator.baking import bundle as bundling
from generator.baking.delivery import Destination
from generator.baking.lock_files import resolve_files
from generator.baking.preflight import ask
from generator.baking.prepare import prepare
from generator.commands import fetch as fetching
from generator.commands import lock as locking
from generator.loading import Loaded, facts_of, graph_of, load, rendered_to, site_of
from generator.plan.names import BUNDLE, LOCK
from generator.recipe import load_recipe
from generator.recipe.fit import pinned, with_facts
from generator.resolve import caches
from generator.resolve.resolve import resolve, with_base

if TYPE_CHECKING:
    from generator.commands.lock import LockOptions
    from generator.console.reporter import Reporter
    from generator.recipe.lock import LockedFiles
    from generator.resolve.choices import Choices


def lock(reporter: Reporter, choices: Choices, options: LockOptions) -> None:
    """Write the recipe's lock, or only tell what drifted: what is locked and fits stays. Its path goes to stdout.

    Raises:
        Drifted: with ``check``, the lock does not fit the recipe, or the base has moved.
        UsageError: the lock is none, or a name is not in it.
        EnvironmentUnfit: the base or an asset can't be had, or the lock can't be written.
        BuildFailed, Interrupted: as for ``bake``.
    """
    site = site_of(reporter, choices)
    loaded = load_recipe(choices.recipe)
    recipe = with_base(loaded.recipe, choices.base)
    facts = resolve(recipe, choices, site)
    platform = locking.builder_platform(facts.builder, platform=facts.platform)
    facts = dataclasses.replace(facts, platform=platform)
    path = options.file or choices.lock or locking.written_to(choices.recipe)
    if options.check:
        found = locking.check(recipe, locking.earlier(recipe, path), facts, path=path)
        reporter.note(f"{path} {found}")
        return
    before = None if options.everything_anew else locking.earlier(recipe, path)
    kept = locking.kept(recipe, before, options, platform=facts.platform)
    images = locking.images_to_lock(recipe, kept.lock, facts, own_fetcher=bool(choices.fetcher or site.site.fetcher))
    hashes = fetching.hashes(reporter, with_facts(recipe, images), facts)
    known = locking.with_assets(recipe, images, hashes)
    if groups := locking.missing(recipe, known):
        to_bake = Loaded(
            recipe=with_facts(recipe, known),
            origin=loaded.origin,
            site=site,
            platform=facts.platform,
            fetcher=pinned(known.fetcher),
            files=known.files,
            preferred=kept.preferred,
        )
        known = locking.with_files(recipe, known, _resolve_files(reporter, choices, to_bake, groups))
    changed = locking.save(known, origin=Path(loaded.origin).name, path=path)
    reporter.data(str(path))
    reporter.note(f"{path} is {'written' if changed else 'as it was'}: {locking.summary(known)}")


def _resolve_files(
    reporter: Reporter,
    choices: Choices,
    loaded: Loaded,
    groups: tuple[str, ...],
) -> dict[str, LockedFiles]:
    """Resolve the files that a lock lacks, in a folder of its own: the build folder tells of the last bake."""
    with tempfile.TemporaryDirectory(prefix="image-uplift-") as folder:
        facts = facts_of(loaded, dataclasses.replace(choices, output=Path(folder), caches=caches.NONE))
        probe = ask(facts)
        rendered = rendered_to(graph_of(loaded, choices), facts.folder)
        targets = (LOCK,)
        job = prepare(reporter, loaded.recipe, facts, probe, rendered, destination=Destination.NOWHERE, targets=targets)
        return resolve_files(job, groups)


def bundle(reporter: Reporter, choices: Choices, folder: Path) -> None:
    """Write a folder with all that bakes of the recipe need of the network; its path goes to stdout.

    Raises:
        UsageError: not everything is locked, or the folder is there; the others as for ``bake``.
    """
    loaded = load(reporter, choices)
    if loaded.unlocked:
        raise UsageError(
            f"not everything is locked: {', '.join(loaded.unlocked)}",
            where=choices.recipe,
            remedy="run `lock`; `lock --without PART` leaves out what is not to be locked",
        )
    facts = dataclasses.replace(facts_of(loaded, choices), assets_folder=choices.output / "no-assets")
    probe = ask(facts)
    rendered = rendered_to(graph_of(loaded, choices), facts.folder)
    job = prepare(reporter, loaded.recipe, facts, probe, rendered, destination=Destination.NOWHERE, targets=(BUNDLE,))
    images = {recipe_image for recipe_image in (loaded.recipe.base.image, facts.toolkit_image) if recipe_image}
    bundling.write_bundle(job, folder, images=sorted(images))
    reporter.data(str(folder))
    reporter.note(f"{folder} holds what a bake needs: bake --bundle {folder}")
