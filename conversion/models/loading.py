"""Opens and writes checkpoints of every form that torch and pickle have, with every tensor on the CPU meanwhile.

Forms: torch's archives and its older format, plain pickles, scripted modules; each also compressed by gzip. A file of
the older format, or of plain pickles, may hold several of them, one behind the other.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import pickle
import pickletools
import stat
import sys
import types
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any, Iterator, List, Optional, Sequence, Tuple, Type

import torch

from conversion.failures import ConversionError, describe
from conversion.models.graph import Places
from conversion.models.on_cpu import on_cpu

_GZIP = b"\x1f\x8b"
_BLOCK = 1 << 24
_PADDING = b"\0 \t\r\n"
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of torch's older format (torch/serialization.py)


@dataclass(frozen=True)
class Form:
    """How a file is written.

    Attributes:
        kind: "archive", "legacy", "pickle" or "script".
        compressed: whether gzip is around it.
        protocol: of its pickle.
    """

    kind: str
    compressed: bool
    protocol: int


@dataclass(frozen=True)
class File:
    """A file's content, decompressed, and its form."""

    content: bytes
    form: Form


class Several(List[Any]):
    """What a file holds in which one pickle follows another."""


def read(path: str) -> File:
    """Read a file.

    Raises:
        ConversionError: it is no regular file, or no checkpoint; the text says so.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ConversionError("is no regular file")
        with open(path, "rb") as file:
            return of_bytes(file.read())
    except OSError as error:
        raise ConversionError(f"can't be read: {error.strerror or error}") from error


def of_bytes(content: bytes) -> File:
    """What a file of these bytes is.

    Raises:
        ConversionError: it is no checkpoint; the text says so.
    """
    compressed = content.startswith(_GZIP)
    if compressed:
        try:
            content = _decompressed(content)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ConversionError(f"is cut short or damaged: its gzip stream has no end ({error})") from error
    if not content:
        raise ConversionError("is empty")
    return File(content, _form(content, compressed))


def _decompressed(content: bytes) -> bytes:
    room = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    parts: List[bytes] = []
    size = 0
    with gzip.open(io.BytesIO(content)) as stream:
        while True:
            part = stream.read(_BLOCK)
            if not part:
                return b"".join(parts)
            size += len(part)
            if size > room:
                raise ConversionError(f"needs more memory than there is: its gzip stream holds over {size} bytes")
            parts.append(part)


def _form(content: bytes, compressed: bool) -> Form:
    if content[:4] == b"PK\x03\x04":
        kind, protocol = _archive(content)
        return Form(kind, compressed, protocol)
    if content[:1] == b"\x80" and len(content) > 1:
        first = _first_value(content)
        return Form("legacy" if first == _LEGACY_MAGIC else "pickle", protocol=content[1], compressed=compressed)
    if _is_tar(content):
        return Form("legacy", compressed, 2)
    if content[:1] in b"()]}cN" and content.rstrip().endswith(b"."):  # a pickle of protocol 0 or 1
        return Form("pickle", compressed, 0)
    raise ConversionError("is no checkpoint: neither an archive of torch nor a pickle")


def _is_tar(content: bytes) -> bool:
    """Whether it is of torch's oldest format."""
    return content[257:262] == b"ustar"


def _archive(content: bytes) -> Tuple[str, int]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            pickles = [name for name in names if name.endswith("/data.pkl")]
            if any(name.endswith("/constants.pkl") for name in names):
                return "script", 2
            if not pickles:
                raise ConversionError("is a zip archive without a data.pkl, which torch did not write")
            with archive.open(pickles[0]) as opened:
                return "archive", opened.read(2)[1]
    except zipfile.BadZipFile as error:
        raise ConversionError(f"is cut short or damaged: {error}") from error


def _first_value(content: bytes) -> Optional[Any]:
    with contextlib.suppress(Exception):
        for opcode, argument, _ in pickletools.genops(content[:64]):
            if opcode.name in ("LONG1", "LONG4"):
                return argument
    return None


def load(path: str) -> Any:
    """What a file holds, as stock torch or pickle loads it.

    Raises:
        ConversionError: it can't be loaded; the text holds what torch or the model's code said.
    """
    return open_file(read(path))


def open_file(file: File, unpickler: Type[pickle.Unpickler] = pickle.Unpickler, places: Optional[Places] = None) -> Any:
    """What a file holds, unpickled by a class of the caller's; ``places`` learns where the file wants its storages."""
    places = places or Places()
    stream = io.BytesIO(file.content)
    try:
        with on_cpu():
            if file.form.kind == "script":
                return torch.jit.load(stream, map_location="cpu")
            if file.form.kind == "archive":
                return _torch_load(stream, unpickler, places)
            return _one_or_several(file, stream, unpickler, places)
    except ConversionError:
        raise
    except (ModuleNotFoundError, AttributeError) as error:
        raise ConversionError(f"can't be loaded, it names what is not there: {describe(error)}") from error
    except MemoryError as error:
        raise ConversionError("needs more memory than there is") from error
    except RecursionError as error:
        raise ConversionError("can't be loaded: it is nested too deeply") from error
    except Exception as error:  # the model's code may raise anything
        text = describe(error)
        hint = "; is it cut short?" if isinstance(error, (EOFError, pickle.UnpicklingError)) else ""
        raise ConversionError(f"can't be loaded: {text}{hint}") from error


def _one_or_several(file: File, stream: io.BytesIO, unpickler: Type[pickle.Unpickler], places: Places) -> Any:
    def one() -> Any:
        if file.form.kind == "pickle":
            return _plain(unpickler, places)(stream).load()
        return _torch_load(stream, unpickler, places)

    found = Several([one()])
    while not _is_tar(file.content) and file.content[stream.tell() :].strip(_PADDING):
        place = stream.tell()
        try:
            found.append(one())
        except Exception as error:  # the model's code may raise anything
            where = f"after {len(found)} of its pickles {len(file.content) - place} bytes follow"
            raise ConversionError(f"can't be loaded: {where}, and they are none ({describe(error)})") from error
    return found if len(found) > 1 else found[0]


def _torch_load(stream: io.BytesIO, unpickler: Type[pickle.Unpickler], places: Places) -> Any:
    def here(storage: Any, place: str) -> Any:
        places.add(storage, place)
        return storage

    module = types.ModuleType("uplift_pickle")  # torch takes a module that looks like pickle
    module.__dict__.update(vars(pickle))
    module.Unpickler = unpickler  # type: ignore[attr-defined]
    arguments: Any = {"map_location": here, "weights_only": False}
    if unpickler is not pickle.Unpickler:
        arguments["pickle_module"] = module
    start = stream.tell()
    try:
        return torch.load(stream, **arguments)
    except TypeError as error:  # torch before 1.13 has no such argument
        if "weights_only" not in str(error):
            raise
        stream.seek(start)
        del arguments["weights_only"]
        return torch.load(stream, **arguments)


def _plain(unpickler: Type[pickle.Unpickler], places: Places) -> Type[pickle.Unpickler]:
    def from_bytes(content: bytes) -> Any:
        """Stands for torch's function of that purpose, which puts storages where they were."""
        return _torch_load(io.BytesIO(content), pickle.Unpickler, places)

    class OnCpu(unpickler):  # type: ignore[misc, valid-type]
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) == ("torch.storage", "_load_from_bytes"):
                return from_bytes
            return super().find_class(module, name)

    return OnCpu


@contextlib.contextmanager
def _placed(places: Places) -> Iterator[None]:
    """Within it, torch saves storages as lying where these places say."""
    tag = torch.serialization.location_tag
    torch.serialization.location_tag = lambda storage: places.of(storage) or tag(storage)
    try:
        yield
    finally:
        torch.serialization.location_tag = tag


def to_bytes(value: Any, form: Form, places: Places) -> bytes:
    """A checkpoint as a file of a form, which wants its storages at these places; equal values give equal bytes.

    Raises:
        ConversionError: something in it can't be pickled.
    """
    stream = io.BytesIO()
    archive = form.kind == "archive"
    try:
        with _placed(places):
            for part in value if isinstance(value, Several) else (value,):
                if form.kind == "pickle":
                    pickle.dump(part, stream, protocol=form.protocol)
                else:
                    torch.save(part, stream, pickle_protocol=form.protocol, _use_new_zipfile_serialization=archive)
    except Exception as error:  # the model's code may raise anything
        raise ConversionError(f"can't be saved: {describe(error)}") from error
    return gzip.compress(stream.getvalue(), mtime=0) if form.compressed else stream.getvalue()


@contextlib.contextmanager
def import_path(folders: Sequence[str]) -> Iterator[None]:
    """Import from these folders first."""
    sys.path[:0] = list(folders)
    try:
        yield
    finally:
        for folder in folders:
            with contextlib.suppress(ValueError):  # the model's code may have removed it itself
                sys.path.remove(folder)
