"""Opens and writes checkpoints of every form that torch and pickle have, with every tensor on the CPU meanwhile.

A file of torch's older format, or of plain pickles, may hold several of them, one behind the other (see ``forms``).
"""

from __future__ import annotations

import contextlib
import gzip
import io
import pickle
import sys
import types
from typing import Any, Iterator, List, Optional, Sequence, Type

import torch

from conversion.failures import ConversionError, describe
from conversion.models import forms
from conversion.models.graph import Places
from conversion.models.on_cpu import on_cpu

_PADDING = b"\0 \t\r\n"


class Several(List[Any]):
    """What a file holds in which one pickle follows another."""


def load(path: str) -> Any:
    """What a file holds, as stock torch or pickle loads it.

    Raises:
        ConversionError: it can't be loaded; the text holds what torch or the model's code said.
    """
    return open_file(forms.read(path))


def open_file(
    file: forms.File, unpickler: Type[pickle.Unpickler] = pickle.Unpickler, places: Optional[Places] = None
) -> Any:
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


def _one_or_several(file: forms.File, stream: io.BytesIO, unpickler: Type[pickle.Unpickler], places: Places) -> Any:
    def one() -> Any:
        if file.form.kind == "pickle":
            return _plain(unpickler, places)(stream).load()
        return _torch_load(stream, unpickler, places)

    found = Several([one()])
    while not forms.is_tar(file.content) and file.content[stream.tell() :].strip(_PADDING):
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


def to_bytes(value: Any, form: forms.Form, places: Places) -> bytes:
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
