import os

from setuptools import find_packages, setup
from torch.utils.cpp_extension import BuildExtension, CUDAExtension

assert os.environ["FORCE_CUDA"] == "1"
setup(
    name="pytorch3d",
    version="0.7.9",
    packages=find_packages(),
    ext_modules=[CUDAExtension("pytorch3d._C", ["pytorch3d/csrc/ext.cpp", "pytorch3d/csrc/knn.cu"])],
    cmdclass={"build_ext": BuildExtension},
)
