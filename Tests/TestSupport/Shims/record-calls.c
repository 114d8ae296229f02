// SPDX-License-Identifier: Apache-2.0

// Loaded before the C library: adds a line for each call that writes to a file, synchronizes one or renames one to
// the file that KILN_RECORD_CALLS names. A line has the name of the call and absolute paths, with tabs between them.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define ORIGINAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

static void note(const char *call, const char *first, const char *second) {
  const char *path = getenv("KILN_RECORD_CALLS");
  if (!path) return;
  const int saved = errno;
  char line[3 * PATH_MAX];
  const int length =
      snprintf(line, sizeof line, "%s\t%s%s%s\n", call, first, second ? "\t" : "", second ? second : "");
  const int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log >= 0) {
    if (ORIGINAL(write)(log, line, (size_t)length) != length) abort();
    close(log);
  }
  errno = saved;
}

// The path that a descriptor was opened under, as it is now.
static void note_descriptor(const char *call, int descriptor) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return;
  path[length] = 0;
  if (path[0] == '/') note(call, path, NULL);
}

static const char *absolute(const char *path, char *target) {
  if (path[0] == '/') return path;
  char folder[PATH_MAX];
  if (!getcwd(folder, sizeof folder)) return path;
  snprintf(target, 2 * PATH_MAX, "%s/%s", folder, path);
  return target;
}

static void note_rename(const char *from, const char *to) {
  char first[2 * PATH_MAX], second[2 * PATH_MAX];
  note("rename", absolute(from, first), absolute(to, second));
}

ssize_t write(int file, const void *bytes, size_t count) {
  note_descriptor("write", file);
  return ORIGINAL(write)(file, bytes, count);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
  note_descriptor("write", file);
  return ORIGINAL(pwrite)(file, bytes, count, offset);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset) {
  note_descriptor("write", file);
  return ORIGINAL(pwrite64)(file, bytes, count, offset);
}

int ftruncate(int file, off_t length) {
  note_descriptor("write", file);
  return ORIGINAL(ftruncate)(file, length);
}

int fsync(int file) {
  const int result = ORIGINAL(fsync)(file);
  if (result == 0) note_descriptor("fsync", file);
  return result;
}

int fdatasync(int file) {
  const int result = ORIGINAL(fdatasync)(file);
  if (result == 0) note_descriptor("fsync", file);
  return result;
}

int rename(const char *from, const char *to) {
  const int result = ORIGINAL(rename)(from, to);
  if (result == 0) note_rename(from, to);
  return result;
}

// renameat2 has no wrapper everywhere, so that programs call it by its number.
long syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long argument[6];
  for (int i = 0; i < 6; i++) argument[i] = va_arg(list, long);
  va_end(list);
  const long result = ORIGINAL(syscall)(
      number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
  if (number == SYS_renameat2 && result == 0) {
    note_rename((const char *)argument[1], (const char *)argument[3]);
  }
  return result;
}
