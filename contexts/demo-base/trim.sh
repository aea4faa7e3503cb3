#!/bin/sh
# Removes from an environment with torch 2.0.1 the large libraries that are opened only when a GPU is used.
#
# usage: trim.sh SITE-PACKAGES
#
# The demo's old environment only ever runs on the CPU. Importing torch maps cublas, cufft, curand, cusparse, nccl,
# cupti and the small libcudnn.so.8; what is named here is opened later, by the first call that needs it. The packages
# stay installed, so that the resolver and `pip check` see them.
set -eu

cd "$1"
rm -f nvidia/cudnn/lib/libcudnn_*.so.8
rm -f nvidia/cusolver/lib/libcusolver*.so.11 torch/lib/libtorch_cuda_linalg.so
rm -f nvidia/cuda_cupti/lib/libnvperf_*.so nvidia/cuda_cupti/lib/libpcsamplingutil.so
rm -f triton/_C/libtriton.so
rm -rf triton/third_party torch/test torch/bin/protoc* nvidia/*/include
