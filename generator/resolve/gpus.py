"""Names of GPUs, as people write them, to compute capabilities. The table is data: ``gpus.toml``, with its source."""

from __future__ import annotations

import difflib
import functools
import re
from dataclasses import dataclass
from importlib import resources

import tomli

from bake.engine.gpu import installed_gpus
from bake.errors import UsageError
from generator.recipe.arch import parse_arch

AUTO = "auto"
_WORD = re.compile(r"[a-z]+|\d+")
_SHORTEST = 3  # characters of a name that is completed to a longer one
_CAPABILITY = re.compile(r"(?:sm|compute)_?\d{2,3}[af]?|\d{1,2}\.\d[af]?|\d{2,3}")


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One line of the table: the name as NVIDIA writes it, and its capability, such as ``12.0``."""

    name: str
    capability: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """The table of names; ``ambiguous`` maps names of families to the members to choose from."""

    gpus: dict[tuple[str, ...], Gpu]
    ambiguous: dict[tuple[str, ...], tuple[Gpu, ...]]
    ignored: re.Pattern[str]
    sources: tuple[str, ...]

    def words(self, name: str) -> tuple[str, ...]:
        """The words of a name that tell it from others: ``A100-SXM4-80GB`` gives (a, 100)."""
        spaced = " ".join(_WORD.findall(name.lower()))
        return tuple(self.ignored.sub(" ", spaced).split())


@functools.cache
def table() -> Table:
    """Read the table that ships."""
    data = tomli.loads((resources.files("generator.resolve") / "gpus.toml").read_text(encoding="utf-8"))
    ignored = re.compile(rf"\b(?:{'|'.join(data['ignored'])})\b")
    names = Table(gpus={}, ambiguous={}, ignored=ignored, sources=tuple(data["sources"]))
    gpus = {
        names.words(name): Gpu(name=name, capability=str(parse_arch(capability)))
        for capability, listed in data["names"].items()
        for name in listed
    }
    ambiguous = {
        names.words(family): tuple(gpus[names.words(member)] for member in members)
        for family, members in data["ambiguous"].items()
    }
    return Table(gpus=gpus, ambiguous=ambiguous, ignored=ignored, sources=names.sources)


def find_gpu(name: str) -> Gpu:
    """Find a GPU by name; case, spaces, hyphens and words such as GeForce or Laptop do not matter.

    Raises:
        UsageError: no such name, or one that fits several capabilities; the message gives the choice.
    """
    known = table()
    words = known.words(name)
    if words in known.gpus:
        return known.gpus[words]
    fitting = known.ambiguous.get(words) or _completions(words, known)
    one_of_each = {gpu.capability: gpu for gpu in reversed(fitting)}
    if len(one_of_each) == 1:
        return fitting[0]
    if fitting:
        choice = ", ".join(f"{gpu.name} ({gpu.capability})" for gpu in fitting if gpu in one_of_each.values())
        raise UsageError(
            f"{name!r} fits GPUs of different compute capabilities",
            where="--gpu",
            remedy=f"write which one: {choice}",
        )
    raise UsageError(f"no GPU is known as {name!r}", where="--gpu", remedy=_advice(name, words, known))


def capabilities(names: tuple[str, ...]) -> tuple[str, ...]:
    """Give the compute capabilities of GPUs by name, each once, in the order given.

    Args:
        names: names, comma-separated lists of them, or ``auto`` for what the driver of this machine reports.

    Raises:
        UsageError: a name is unknown or ambiguous. EnvironmentUnfit: ``auto``, and no driver answers.
    """
    found: list[str] = []
    for name in (part.strip() for text in names for part in re.split(r"[,;]", text)):
        if name.lower() == AUTO:
            found += _of_this_machine()
        elif name:
            found.append(find_gpu(name).capability)
    if not found:
        raise UsageError("no GPU is named", where="--gpu", remedy="write for example --gpu rtx5090, or --gpu auto")
    return tuple(dict.fromkeys(found))


def chosen_archs(archs: str | None, gpus: list[str] | None) -> str | None:
    """Settle ``--arch`` and ``--gpu``: the list of compute capabilities, None where neither was given.

    Raises:
        UsageError: both were given, or a name is not known. EnvironmentUnfit: ``auto``, and no driver answers.
    """
    if not gpus:
        return archs
    if archs:
        raise UsageError(
            "--arch and --gpu both say what to compile for",
            where="--gpu",
            remedy="give one of them (GENERATOR_ARCH and GENERATOR_GPU count too)",
        )
    return ";".join(capabilities(tuple(gpus)))


def _of_this_machine() -> list[str]:
    return [gpu.capability or find_gpu(gpu.name).capability for gpu in installed_gpus()]


def _completions(words: tuple[str, ...], known: Table) -> tuple[Gpu, ...]:
    """GPUs whose names hold all these words: ``5090``, ``A6000``, ``RTX PRO 6000``."""
    if len("".join(words)) < _SHORTEST:
        return ()
    return tuple(gpu for name, gpu in known.gpus.items() if set(words) <= set(name))


def _advice(name: str, words: tuple[str, ...], known: Table) -> str:
    if _CAPABILITY.fullmatch(name.strip().lower()):
        return 'a compute capability is given with --arch, such as --arch "12.0"'
    spelled = {"".join(key): gpu.name for key, gpu in known.gpus.items()}
    near = difflib.get_close_matches("".join(words), spelled, n=3, cutoff=0.6)
    if near:
        return f"did you mean {', '.join(spelled[key] for key in near)}? Or give the capability with --arch"
    return f'give the capability with --arch, such as --arch "12.0"; the list is at {known.sources[0]}'
