"""The part of torch's extension builder that a setup.py uses: PYTORCH_NVCC for .cu, CXX for .cpp, LDFLAGS, as torch does."""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

from setuptools import Extension
from setuptools.command.build_ext import build_ext


def is_ninja_available():
    return shutil.which("ninja") is not None


class BuildExtension(build_ext):
    def __init__(self, *args, **kwargs):
        self.with_ninja = kwargs.pop("use_ninja", False)
        super().__init__(*args, **kwargs)

    def build_extension(self, extension):
        assert self.with_ninja, "compile.py turns ninja on"
        objects = []
        for source in extension.sources:
            out = f"{self.build_temp}/{Path(source).name}.o"
            Path(self.build_temp).mkdir(parents=True, exist_ok=True)
            device = source.endswith(".cu")
            compiler = [os.environ["PYTORCH_NVCC"], "-Xcompiler"] if device else [os.environ["CXX"]]
            include = f"-I{sysconfig.get_paths()['include']}"
            subprocess.run([*compiler, "-fPIC", include, "-c", source, "-o", out], check=True)
            objects.append(out)
        target = self.get_ext_fullpath(extension.name)
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        flags = os.environ.get("LDFLAGS", "").split()
        subprocess.run(["g++", "-shared", *flags, "-o", target, *objects], check=True)


CUDAExtension = Extension
