"""The part of torch's extension builder that a setup.py of an extension uses: nvcc for .cu, g++ for .cpp."""

import os
import shutil
import subprocess

from setuptools import Extension
from setuptools.command.build_ext import build_ext

CUDA_HOME = os.environ.get("CUDA_HOME")


def is_ninja_available():
    return shutil.which("ninja") is not None


def CUDAExtension(name, sources, **keywords):  # noqa: N802
    return Extension(name, sources, **keywords)


class BuildExtension(build_ext):
    def __init__(self, *args, **kwargs):
        self.with_ninja = kwargs.pop("use_ninja", False)
        super().__init__(*args, **kwargs)

    def build_extension(self, extension):
        assert self.with_ninja, "compile.py turns ninja on"
        objects = []
        for source in extension.sources:
            out = os.path.join(self.build_temp, os.path.basename(source) + ".o")
            os.makedirs(self.build_temp, exist_ok=True)
            nvcc = os.path.join(os.environ["CUDA_HOME"], "bin", "nvcc")
            archs = [f"-gencode=arch=compute_{a.replace('.', '')}" for a in os.environ["TORCH_CUDA_ARCH_LIST"].split(";")]
            compiler = [nvcc, *archs] if source.endswith(".cu") else ["g++", "-fPIC"]
            subprocess.run([*compiler, "-c", source, "-o", out], check=True)
            objects.append(out)
        target = self.get_ext_fullpath(extension.name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        subprocess.run(["g++", "-shared", "-o", target, *objects], check=True)
