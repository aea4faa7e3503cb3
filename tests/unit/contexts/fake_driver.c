/* A driver with one card of compute capability FAKE_CARD (as 120), for TensorFlow to find; it can run nothing.
   Built as libcuda.so.1 and as libnvidia-ml.so.1. */
#include <stdio.h>
#include <stdlib.h>

static int card(void) { return atoi(getenv("FAKE_CARD")); }

int cuInit(unsigned flags) { return 0; }
int cuDriverGetVersion(int *version) { *version = 12080; return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetName(char *name, int size, int device) { snprintf(name, size, "Fake card"); return 0; }
int cuDeviceGetPCIBusId(char *name, int size, int device) { snprintf(name, size, "0000:01:00.0"); return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = 1ULL << 35; return 0; }
int cuDeviceComputeCapability(int *major, int *minor, int device) { *major = card() / 10; *minor = card() % 10; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? card() / 10 : attribute == 76 ? card() % 10 : attribute == 16 ? 170 : 1024;
    return 0;
}
int cuDeviceGetProperties(void *properties, int device) { return 0; }
int cuGetErrorName(int status, const char **text) { *text = "CUDA_ERROR_FAKE"; return 0; }
int cuGetErrorString(int status, const char **text) { *text = "this card can run nothing"; return 0; }
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) { *flags = 0; *active = 0; return 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { return 222; }

int nvmlInit_v2(void) { return getenv("FAKE_NVML") ? atoi(getenv("FAKE_NVML")) : 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { *device = &card; return 0; }
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) { return cuDeviceComputeCapability(major, minor, 0); }
