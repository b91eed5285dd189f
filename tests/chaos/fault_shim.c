/* Counts the file operations of this process below one folder, and lets them fail or kill at a chosen one.

   Loaded with LD_PRELOAD; a test calls fault_arm(folder, mode, at, log) through ctypes.
   mode 1: SIGKILL before operation number `at`.   mode 2: writes fail with ENOSPC once `at` bytes were written.
   mode 3: operation number `at` fails with EIO.   mode 4: fsync fails with EIO from operation `at` on.
   With a log, every operation is written there as one line: what happened, path, second path. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[4096];
static int mode = 0, log_file = -1;
static long at = -1, count = 0, bytes = 0;

void fault_arm(const char *where, int how, long when, const char *log) {
    snprintf(folder, sizeof folder, "%s", where);
    mode = how; at = when; count = 0; bytes = 0;
    log_file = (log && *log) ? syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
}
void fault_disarm(void) { mode = 0; folder[0] = 0; }
long fault_count(void) { return count; }
long fault_bytes(void) { return bytes; }

static const char *path_of(int fd, char *buffer, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, buffer, size - 1);
    buffer[length > 0 ? length : 0] = 0;
    return buffer;
}
static const char *full_path(int directory, const char *path, char *buffer, size_t size) {
    if (path[0] == '/') { snprintf(buffer, size, "%s", path); return buffer; }
    char base[4096];
    if (directory == AT_FDCWD) { if (!getcwd(base, sizeof base)) base[0] = 0; }
    else path_of(directory, base, sizeof base);
    snprintf(buffer, size, "%.2000s/%.2000s", base, path);
    return buffer;
}
/* 1 when the operation shall fail with errno set */
static int operation(const char *what, const char *path, const char *second) {
    if (!folder[0] || !strstr(path, folder)) return 0;
    if (mode == 1 && count == at) { syscall(SYS_kill, syscall(SYS_getpid), SIGKILL); for (;;) pause(); }
    if (log_file >= 0) {
        char line[9000];
        int length = snprintf(line, sizeof line, "%s\t%s\t%s\n", what, path, second ? second : "");
        syscall(SYS_write, log_file, line, length);
    }
    long number = count++;
    if (mode == 3 && number == at) { errno = EIO; return 1; }
    if (mode == 4 && number >= at && !strcmp(what, "fsync")) { errno = EIO; return 1; }
    return 0;
}
static int no_room(const char *path, size_t size) {
    if (mode != 2 || !folder[0] || !strstr(path, folder)) return 0;
    if (bytes + (long)size > at) { errno = ENOSPC; return 1; }
    bytes += size;
    return 0;
}
#define REAL(type, name, ...) static type (*real)(__VA_ARGS__); if (!real) real = dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    if (fd > 2 && folder[0]) { char p[4096]; path_of(fd, p, sizeof p); if (operation("write", p, 0) || no_room(p, size)) return -1; }
    return real(fd, data, size);
}
ssize_t writev(int fd, const struct iovec *v, int n) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    if (fd > 2 && folder[0]) {
        size_t size = 0; for (int i = 0; i < n; i++) size += v[i].iov_len;
        char p[4096]; path_of(fd, p, sizeof p); if (operation("write", p, 0) || no_room(p, size)) return -1;
    }
    return real(fd, v, n);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    if (fd > 2 && folder[0]) { char p[4096]; path_of(fd, p, sizeof p); if (operation("write", p, 0) || no_room(p, size)) return -1; }
    return real(fd, data, size, offset);
}
int fsync(int fd) {
    REAL(int, fsync, int);
    if (folder[0]) { char p[4096]; path_of(fd, p, sizeof p); if (operation("fsync", p, 0)) return -1; }
    return real(fd);
}
static int opened(int directory, const char *path, int flags) {
    char p[4096];
    if (!folder[0] || !(flags & (O_CREAT | O_TRUNC))) return 0;
    return operation("open", full_path(directory, path, p, sizeof p), 0);
}
#define OPEN(name) int name(const char *path, int flags, ...) { REAL(int, name, const char *, int, ...); \
    va_list a; va_start(a, flags); int m = va_arg(a, int); va_end(a); \
    return opened(AT_FDCWD, path, flags) ? -1 : real(path, flags, m); }
OPEN(open)
OPEN(open64)
#define OPENAT(name) int name(int d, const char *path, int flags, ...) { REAL(int, name, int, const char *, int, ...); \
    va_list a; va_start(a, flags); int m = va_arg(a, int); va_end(a); \
    return opened(d, path, flags) ? -1 : real(d, path, flags, m); }
OPENAT(openat)
OPENAT(openat64)
FILE *fopen64(const char *path, const char *how) {
    REAL(FILE *, fopen64, const char *, const char *);
    if (strpbrk(how, "wa+") && opened(AT_FDCWD, path, O_CREAT)) return 0;
    return real(path, how);
}
int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    char p[4096], q[4096];
    if (folder[0] && operation("rename", full_path(AT_FDCWD, from, p, sizeof p), full_path(AT_FDCWD, to, q, sizeof q))) return -1;
    return real(from, to);
}
int renameat(int d, const char *from, int e, const char *to) {
    REAL(int, renameat, int, const char *, int, const char *);
    char p[4096], q[4096];
    if (folder[0] && operation("rename", full_path(d, from, p, sizeof p), full_path(e, to, q, sizeof q))) return -1;
    return real(d, from, e, to);
}
int mkdir(const char *path, mode_t m) {
    REAL(int, mkdir, const char *, mode_t);
    char p[4096];
    if (folder[0] && operation("mkdir", full_path(AT_FDCWD, path, p, sizeof p), 0)) return -1;
    return real(path, m);
}
int unlink(const char *path) {
    REAL(int, unlink, const char *);
    char p[4096];
    if (folder[0] && operation("unlink", full_path(AT_FDCWD, path, p, sizeof p), 0)) return -1;
    return real(path);
}
int unlinkat(int d, const char *path, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    char p[4096];
    if (folder[0] && operation(flags ? "rmdir" : "unlink", full_path(d, path, p, sizeof p), 0)) return -1;
    return real(d, path, flags);
}
int rmdir(const char *path) {
    REAL(int, rmdir, const char *);
    char p[4096];
    if (folder[0] && operation("rmdir", full_path(AT_FDCWD, path, p, sizeof p), 0)) return -1;
    return real(path);
}
