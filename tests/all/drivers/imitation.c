/* A Vulkan driver that is another one (FAKE_DRIVER, a library) and says otherwise where FAKE_* variables ask for it: other names, kinds
   and limits, a driver that is not conformant, memory that ends, submissions that lose the device. Without Vulkan's headers: what it
   touches lies at places that Vulkan's ABI fixes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*Function)(void);
typedef Function (*GetProc)(void *, const char *);
#define EXPORT __attribute__((visibility("default")))

static long from_env(const char *name) {
  const char *text = getenv(name);
  return text ? strtol(text, 0, 0) : 0;
}

static void *driver(const char *symbol) {
  static void *library;
  if (!library) library = dlopen(getenv("FAKE_DRIVER"), RTLD_NOW | RTLD_LOCAL);
  return library ? dlsym(library, symbol) : 0;
}

static void put(char *at, const char *name, int words) {
  uint32_t value = (uint32_t)from_env(name);
  for (int i = 0; value && i < words; i++) memcpy(at + 4 * i, &value, 4);
}

/* VkPhysicalDeviceProperties; its limits begin at byte 296. */
static void tweak(char *p) {
  put(p + 8, "FAKE_VENDOR", 1);
  put(p + 16, "FAKE_TYPE", 1);
  if (getenv("FAKE_NAME")) snprintf(p + 20, 256, "%s", getenv("FAKE_NAME"));
  put(p + 324, "FAKE_RANGE", 1);      /* maxStorageBufferRange */
  put(p + 372, "FAKE_BUFFERS", 1);    /* maxPerStageDescriptorStorageBuffers */
  put(p + 404, "FAKE_BUFFERS", 1);    /* maxDescriptorSetStorageBuffers */
  put(p + 512, "FAKE_SHARED", 1);     /* maxComputeSharedMemorySize */
  put(p + 516, "FAKE_WORKGROUPS", 3); /* maxComputeWorkGroupCount */
  put(p + 528, "FAKE_THREADS", 4);    /* maxComputeWorkGroupInvocations, maxComputeWorkGroupSize */
  put(p + 624, "FAKE_ALIGNMENT", 1);  /* minStorageBufferOffsetAlignment */
}

struct Chained {
  int32_t type;
  struct Chained *next;
};

static void (*properties)(void *, char *);
static void my_properties(void *device, char *p) {
  properties(device, p);
  tweak(p);
}

static void (*properties2)(void *, char *);
static void my_properties2(void *device, char *p) {
  properties2(device, p);
  tweak(p + 16);
  for (struct Chained *s = ((struct Chained *)p)->next; s; s = s->next) {
    /* Driver properties, alone and among those of Vulkan 1.2: id and conformance version. */
    int32_t version_1_2 = s->type == 52, alone = s->type == 1000196000;
    if ((version_1_2 || alone) && from_env("FAKE_NONCONFORMANT")) {
      memset((char *)s + 532, 0, 4);
    }
  }
}

static int32_t (*submit)(void *, uint32_t, const void *, void *);
static int32_t my_submit(void *queue, uint32_t n, const void *submits, void *fence) {
  static atomic_long count;
  long k = ++count, after = from_env("FAKE_LOST_AFTER"), until = from_env("FAKE_LOST_UNTIL");
  if (after && k > after && (!until || k <= until)) return -4; /* VK_ERROR_DEVICE_LOST */
  return submit(queue, n, submits, fence);
}

static int32_t (*allocate)(void *, const char *, const void *, void *);
static int32_t my_allocate(void *device, const char *info, const void *callbacks, void *memory) {
  static atomic_long held;
  uint64_t bytes;
  memcpy(&bytes, info + 16, 8);
  long most = from_env("FAKE_MEMORY");
  if (most && held + (long)bytes > most) return -2; /* VK_ERROR_OUT_OF_DEVICE_MEMORY */
  int32_t result = allocate(device, info, callbacks, memory);
  if (!result) held += bytes;
  return result;
}

#define HOOK(text, kept, mine)       \
  if (!strcmp(name, text)) {         \
    if (!real) return 0;             \
    kept = (void *)real;             \
    return (Function)mine;           \
  }

static Function hook(const char *name, Function real) {
  HOOK("vkQueueSubmit", submit, my_submit)
  HOOK("vkAllocateMemory", allocate, my_allocate)
  HOOK("vkGetPhysicalDeviceProperties", properties, my_properties)
  HOOK("vkGetPhysicalDeviceProperties2", properties2, my_properties2)
  HOOK("vkGetPhysicalDeviceProperties2KHR", properties2, my_properties2)
  return real;
}

static GetProc device_proc;
static Function my_device_proc(void *device, const char *name) { return hook(name, device_proc(device, name)); }

EXPORT Function vk_icdGetInstanceProcAddr(void *instance, const char *name) {
  GetProc get = (GetProc)driver("vk_icdGetInstanceProcAddr");
  Function real = get ? get(instance, name) : 0;
  HOOK("vkGetDeviceProcAddr", device_proc, my_device_proc)
  return hook(name, real);
}

EXPORT Function vk_icdGetPhysicalDeviceProcAddr(void *instance, const char *name) {
  GetProc get = (GetProc)driver("vk_icdGetPhysicalDeviceProcAddr");
  return get ? hook(name, get(instance, name)) : 0;
}

EXPORT int32_t vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version) {
  int32_t (*negotiate)(uint32_t *) = (int32_t(*)(uint32_t *))driver("vk_icdNegotiateLoaderICDInterfaceVersion");
  if (*version > 4) *version = 4;
  return negotiate ? negotiate(version) : 0;
}
