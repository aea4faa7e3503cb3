"""The guide's way: what a person does by hand, step after step, written from the facts of the manual guide.

pip without a cache, one image after the other, compiler and toolkit installed into the image, the extensions compiled
one after the other with the flags that come by default, models taken out and made anew by ``docker run`` with folders
of the host, and copied back by a last build. Pure: a recipe in, a tuple of steps out.

What the guide gets for free is told in README.md.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bake.errors import UsageError

if TYPE_CHECKING:
    from generator.recipe import Recipe
    from generator.recipe.extensions import Extension

OLD_TORCH = ("torch", "torchvision", "torchaudio")
SECRET = "--mount=type=secret,id=ca-bundle,mode=0444"
# The place's CA is handed in as a secret, as in our builds; where there is none these name a file that isn't used.
_CA = (
    "if [ -f /run/secrets/ca-bundle ]; then export PIP_CERT=/run/secrets/ca-bundle SSL_CERT_FILE=/run/secrets/ca-bundle"
    " && echo 'Acquire::https::CAInfo \"/run/secrets/ca-bundle\";' > /tmp/ca.conf && export APT_CONFIG=/tmp/ca.conf; fi"
)
APT = ("build-essential", "ninja-build")
MODELS = "models.json"  # the specification that the conversion scripts read, as the generator renders it


@dataclass(frozen=True, kw_only=True)
class BuildStep:
    """One ``docker build``; ``files`` are what its context has to hold (see ``workdir``)."""

    name: str
    tag: str
    dockerfile: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunStep:
    """One ``docker run`` of ``image``; ``folders`` are paths of the host, by their place in the container."""

    name: str
    image: str
    program: str
    arguments: tuple[str, ...]
    folders: dict[str, str] = field(default_factory=dict)


Step = BuildStep | RunStep


def steps(recipe: Recipe, tag: str) -> tuple[Step, ...]:
    """The steps for a recipe, in order; the last one makes ``tag``.

    Raises:
        UsageError: the recipe has a part that the guide's way doesn't know.
    """
    name = tag.partition(":")[0]
    done: list[Step] = []

    def build(title: str, lines: list[str], *, last: bool = False, files: tuple[str, ...] = ()) -> None:
        before = done[-1].tag if done and isinstance(done[-1], BuildStep) else recipe.base.image
        made = tag if last else f"{name}:step{len(done) + 1}"
        text = "\n".join([f"FROM {before}", *lines]) + "\n"
        done.append(BuildStep(name=title, tag=made, dockerfile=text, files=files))

    plain_end = not recipe.models
    parts: list[tuple[str, list[str], tuple[str, ...]]] = [("torch", _torch(recipe), ())]
    if recipe.patch:
        parts.append(("patch", _patch(recipe), ()))
    if recipe.extensions:
        lines, files = _compiled(recipe)
        parts.append(("toolkit and extensions", lines, files))
    for number, (title, lines, files) in enumerate(parts, start=1):
        build(title, lines, last=plain_end and number == len(parts), files=files)
    if recipe.models:
        newest = done[-1]
        assert isinstance(newest, BuildStep)
        done += _migration(recipe, newest.tag)
        done.append(
            BuildStep(
                name="copy the models back",
                tag=tag,
                dockerfile=f"FROM {newest.tag}\nCOPY new_models/ /\n",
                files=("new_models",),
            )
        )
    return tuple(done)


def _run(command: str) -> str:
    return f"RUN {SECRET} {_CA}; {command}"


def _pip(recipe: Recipe, arguments: str) -> str:
    return f"{recipe.base.prefix}/bin/pip {arguments}"


def _words(words: tuple[str, ...]) -> str:
    return " ".join(shlex.quote(word) for word in words)


def _torch(recipe: Recipe) -> list[str]:
    stack = recipe.stack
    old = tuple(name for name in OLD_TORCH if any(package.startswith(f"{name}==") for package in stack.packages))
    where = f" --extra-index-url {stack.index}" if stack.index else ""
    return [
        *([_run(_pip(recipe, f"uninstall -y {_words(old)}"))] if old else []),
        _run(_pip(recipe, f"install --no-cache-dir {_words(stack.packages)}{where}")),
    ]


def _patch(recipe: Recipe) -> list[str]:
    """Give ``torch.load`` another argument by regular expression: first calls with map_location, then plain ones."""
    assert recipe.patch is not None
    roots = _words(recipe.patch.roots)
    located = r"s/torch\.load(\([^,)]*, map_location=[^,)]*\))/torch.load(\1, weights_only=False)/g"
    plain = r"s/torch\.load(\([^,)]*\))/torch.load(\1, weights_only=False)/g"
    return [rf"RUN find {roots} -name '*.py' -exec sed -i {shlex.quote(rule)} {{}} +" for rule in (located, plain)]


def _compiled(recipe: Recipe) -> tuple[list[str], tuple[str, ...]]:
    """The toolkit, then each extension: taken out in its old version, compiled with pip in its new one."""
    archs = ";".join(recipe.stack.archs)
    lines, files = _toolkit(recipe)
    lines += ["ENV FORCE_CUDA=1", f'ENV TORCH_CUDA_ARCH_LIST="{archs}"']
    if recipe.stack.remove:
        lines.append(_run(_pip(recipe, f"uninstall -y {_words(recipe.stack.remove)}")))
    for name, extension in recipe.extensions.items():
        lines.append(_run(_pip(recipe, f"uninstall -y {name}")))
        compiled, needed = _extension(recipe, name, extension)
        lines += compiled
        files += needed
    return lines, files


def _toolkit(recipe: Recipe) -> tuple[list[str], tuple[str, ...]]:
    toolkit = recipe.toolkit
    lines = [_run(f"apt-get update && apt-get install -y {_words(APT)} && rm -rf /var/lib/apt/lists/*")]
    if toolkit is None:
        return lines, ()
    prefix, release = recipe.base.prefix, recipe.stack.cuda
    if toolkit.source == "wheels":
        # Into the environment, beside torch's libraries; the linker asks for libcudart.so in lib64.
        find = f"$(echo {prefix}/lib/python3*/site-packages/nvidia/cu{release.partition('.')[0]})"
        link = f'cd "{find}" && ln -sfn lib lib64 && ln -sf libcudart.so.{release.partition(".")[0]} lib/libcudart.so'
        lines.append(_run(f"{_pip(recipe, f'install --no-cache-dir {_words(toolkit.install)}')} && {link}"))
        lines.append(f'RUN ln -sfn "{find}" /usr/local/cuda')
        files: tuple[str, ...] = ()
    elif toolkit.source == "runfile":
        file = recipe.assets[toolkit.asset].file_name
        lines.append(f"COPY {file} /tmp/cuda.run")
        lines.append("RUN chmod +x /tmp/cuda.run && /tmp/cuda.run --toolkit --silent && rm /tmp/cuda.run")
        files = (toolkit.asset,)
    else:
        lines.append(f"COPY --from={toolkit.image} /usr/local/cuda /usr/local/cuda")
        files = ()
    return [*lines, "ENV PATH=/usr/local/cuda/bin:$PATH", "ENV CUDA_HOME=/usr/local/cuda"], files


def _extension(recipe: Recipe, name: str, extension: Extension) -> tuple[list[str], tuple[str, ...]]:
    given = " ".join(f"{key}={shlex.quote(value)}" for key, value in extension.env.items())
    export = f"export {given} && " if given else ""
    install = "install --no-cache-dir --no-build-isolation"
    if extension.source == "sdist":
        what = f"--no-binary {name} {name}=={extension.version}"
        return [_run(export + _pip(recipe, f"{install} {what}"))], ()
    if extension.source == "archive":
        place = f"/tmp/{name}"
        lines = [f"COPY {extension.asset} {place}", _run(f"cd {place} && {export}{_pip(recipe, f'{install} .')}")]
        return lines, (extension.asset,)
    if extension.source == "wheel":
        page = extension.page or recipe.stack.find_links
        local = extension.local or recipe.stack.local
        version = f"{extension.version}+{local}" if local else extension.version
        return [_run(_pip(recipe, f"install --no-cache-dir {name}=={version} -f {page}"))], ()
    raise UsageError(
        f"the guide's way doesn't know the source {extension.source!r}",
        where=f"extensions.{name}",
        remedy="bench a recipe whose extensions are wheels, sdists or archives",
    )


def _migration(recipe: Recipe, newest: str) -> list[Step]:
    """Take the models out in the old image and make them anew in the new one; both write to folders of the host."""
    python = f"{recipe.base.prefix}/bin/python"
    scripts = {"/uplift/conversion": "conversion", f"/uplift/{MODELS}": MODELS}
    spec = ("--spec", f"/uplift/{MODELS}")
    return [
        RunStep(
            name="extract the models",
            image=recipe.base.image,
            program=python,
            arguments=("-m", "conversion.models.extract", *spec, "--out", "/output"),
            folders={**scripts, "/output": "extracted"},
        ),
        RunStep(
            name="rebuild the models",
            image=newest,
            program=python,
            arguments=(
                *("-m", "conversion.models.rebuild", *spec, "--extracted", "/input"),
                *("--out", "/output", "--report", "/report/parity.json"),
            ),
            folders={**scripts, "/input": "extracted", "/output": "new_models", "/report": "report"},
        ),
    ]
