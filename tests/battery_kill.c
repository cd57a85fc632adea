/* Loaded before libc into a process under test: counts each call that changes a file below a folder, and at the one that
   it is told kills the process and all of its group, before the call has an effect; of a write half has one. Or it lets
   that call and all later ones fail: as on a full disk those that add something, with EROFS all of them.

   BATTERY_KILL names the file with the state below, which all processes of a case share. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct state {
    long count;  /* calls so far */
    long target; /* the call to die or to fail at; 0: none */
    long error;  /* what it fails with; 0: it dies */
    char folder[PATH_MAX];
};

static struct state *state;

static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

/* Take the state of this case; also called in a fork, by ctypes. */
void battery_arm(const char *path) {
    int (*plain_open)(const char *, int, ...) = next("open");
    int descriptor = plain_open(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0) return;
    void *shared = mmap(NULL, sizeof(struct state), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (shared != MAP_FAILED) state = shared;
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("BATTERY_KILL");
    if (path != NULL) battery_arm(path);
}

static int is_below(const char *path) {
    size_t length = strlen(state->folder);
    return strncmp(path, state->folder, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int is_ours_at(int folder, const char *path) {
    char whole[3 * PATH_MAX], base[PATH_MAX];
    if (state == NULL || path == NULL) return 0;
    if (path[0] == '/') return is_below(path);
    if (folder == AT_FDCWD) {
        if (getcwd(base, sizeof base) == NULL) return 0;
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t length = readlink(link, base, sizeof base - 1);
        if (length < 0) return 0;
        base[length] = 0;
    }
    snprintf(whole, sizeof whole, "%s/%s", base, path);
    return is_below(whole);
}

static int is_ours(int descriptor) {
    char link[64], path[PATH_MAX];
    if (state == NULL) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static void die(void) {
    kill(0, SIGKILL);
    for (;;) pause();
}

/* Whether this call fails, or is the one to die at. */
static int is_due(int adds) {
    long count = __atomic_add_fetch(&state->count, 1, __ATOMIC_SEQ_CST);
    if (state->error == 0) return count == state->target;
    return state->target && count >= state->target && (adds || state->error == EROFS);
}

static int fail(void) {
    if (state->error == 0) die();
    errno = (int)state->error;
    return -1;
}

#define AT_PATH(folder, path, adds) do { if (is_ours_at(folder, path) && is_due(adds)) return fail(); } while (0)
#define AT_FILE(descriptor, adds) do { if (is_ours(descriptor) && is_due(adds)) return fail(); } while (0)

ssize_t write(int descriptor, const void *data, size_t size) {
    static ssize_t (*plain)(int, const void *, size_t);
    if (plain == NULL) plain = next("write");
    if (is_ours(descriptor) && is_due(1)) {
        if (state->error == 0) plain(descriptor, data, size / 2);
        return fail();
    }
    return plain(descriptor, data, size);
}

ssize_t pwrite64(int descriptor, const void *data, size_t size, off64_t place) {
    ssize_t (*plain)(int, const void *, size_t, off64_t) = next("pwrite64");
    if (is_ours(descriptor) && is_due(1)) {
        if (state->error == 0) plain(descriptor, data, size / 2, place);
        return fail();
    }
    return plain(descriptor, data, size, place);
}

ssize_t pwrite(int descriptor, const void *data, size_t size, off_t place) {
    return pwrite64(descriptor, data, size, place);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    ssize_t (*plain)(int, const struct iovec *, int) = next("writev");
    AT_FILE(descriptor, 1);
    return plain(descriptor, parts, count);
}

ssize_t sendfile64(int target, int source, off64_t *place, size_t size) {
    ssize_t (*plain)(int, int, off64_t *, size_t) = next("sendfile64");
    AT_FILE(target, 1);
    return plain(target, source, place, size);
}

ssize_t sendfile(int target, int source, off_t *place, size_t size) {
    return sendfile64(target, source, (off64_t *)place, size);
}

int fsync(int descriptor) {
    int (*plain)(int) = next("fsync");
    AT_FILE(descriptor, 0);
    return plain(descriptor);
}

int fdatasync(int descriptor) {
    int (*plain)(int) = next("fdatasync");
    AT_FILE(descriptor, 0);
    return plain(descriptor);
}

int ftruncate64(int descriptor, off64_t size) {
    int (*plain)(int, off64_t) = next("ftruncate64");
    AT_FILE(descriptor, 0);
    return plain(descriptor, size);
}

int ftruncate(int descriptor, off_t size) { return ftruncate64(descriptor, size); }

int posix_fallocate64(int descriptor, off64_t place, off64_t size) {
    int (*plain)(int, off64_t, off64_t) = next("posix_fallocate64");
    if (is_ours(descriptor) && is_due(1)) {
        fail();
        return errno;
    }
    return plain(descriptor, place, size);
}

int posix_fallocate(int descriptor, off_t place, off_t size) { return posix_fallocate64(descriptor, place, size); }

int rename(const char *old, const char *new) {
    int (*plain)(const char *, const char *) = next("rename");
    AT_PATH(AT_FDCWD, new, 0);
    return plain(old, new);
}

int renameat(int old_folder, const char *old, int folder, const char *new) {
    int (*plain)(int, const char *, int, const char *) = next("renameat");
    AT_PATH(folder, new, 0);
    return plain(old_folder, old, folder, new);
}

int renameat2(int old_folder, const char *old, int folder, const char *new, unsigned int flags) {
    int (*plain)(int, const char *, int, const char *, unsigned int) = next("renameat2");
    AT_PATH(folder, new, 0);
    return plain(old_folder, old, folder, new, flags);
}

int link(const char *old, const char *new) {
    int (*plain)(const char *, const char *) = next("link");
    AT_PATH(AT_FDCWD, new, 1);
    return plain(old, new);
}

int linkat(int old_folder, const char *old, int folder, const char *new, int flags) {
    int (*plain)(int, const char *, int, const char *, int) = next("linkat");
    AT_PATH(folder, new, 1);
    return plain(old_folder, old, folder, new, flags);
}

int symlink(const char *target, const char *path) {
    int (*plain)(const char *, const char *) = next("symlink");
    AT_PATH(AT_FDCWD, path, 1);
    return plain(target, path);
}

int unlink(const char *path) {
    int (*plain)(const char *) = next("unlink");
    AT_PATH(AT_FDCWD, path, 0);
    return plain(path);
}

int unlinkat(int folder, const char *path, int flags) {
    int (*plain)(int, const char *, int) = next("unlinkat");
    AT_PATH(folder, path, 0);
    return plain(folder, path, flags);
}

int rmdir(const char *path) {
    int (*plain)(const char *) = next("rmdir");
    AT_PATH(AT_FDCWD, path, 0);
    return plain(path);
}

int mkdir(const char *path, mode_t mode) {
    int (*plain)(const char *, mode_t) = next("mkdir");
    AT_PATH(AT_FDCWD, path, 1);
    return plain(path, mode);
}

int mkdirat(int folder, const char *path, mode_t mode) {
    int (*plain)(int, const char *, mode_t) = next("mkdirat");
    AT_PATH(folder, path, 1);
    return plain(folder, path, mode);
}

static int open_any(const char *name, int folder, const char *path, int flags, mode_t mode) {
    if (flags & (O_CREAT | O_TRUNC)) AT_PATH(folder, path, 1);
    int (*plain)(int, const char *, int, ...) = next(name);
    return plain(folder, path, flags, mode);
}

#define MODE(flags) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

int open(const char *path, int flags, ...) { MODE(flags) return open_any("openat", AT_FDCWD, path, flags, mode); }

int open64(const char *path, int flags, ...) { MODE(flags) return open_any("openat64", AT_FDCWD, path, flags, mode); }

int openat(int folder, const char *path, int flags, ...) { MODE(flags) return open_any("openat", folder, path, flags, mode); }

int openat64(int folder, const char *path, int flags, ...) { MODE(flags) return open_any("openat64", folder, path, flags, mode); }

FILE *fopen64(const char *path, const char *how) {
    FILE *(*plain)(const char *, const char *) = next("fopen64");
    if (how[0] != 'r' && is_ours_at(AT_FDCWD, path) && is_due(1)) {
        fail();
        return NULL;
    }
    return plain(path, how);
}

FILE *fopen(const char *path, const char *how) { return fopen64(path, how); }
