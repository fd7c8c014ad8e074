/*
 * Preloaded into a server by tests/torture: makes one of its calls fail, or do only
 * part of the work, where strace cannot: allocations are no system calls, a short count
 * has to leave the right bytes behind, and a close() that reports an error has closed
 * all the same (strace would have it not done at all).  All processes of a server count
 * together here, so that of stage 02's children just one is hit; strace counts each
 * for itself.
 *
 *     TORTURE="CALL ERROR FIRST LAST"   fails those invocations of CALL
 *     TORTURE_LOG=PATH                  gets a line for each, and at the end "made N"
 *
 * CALL is recv, send, readv, writev, close, wait, or malloc for any allocation.  ERROR
 * is an errno's name, or 1-byte (no more is moved), or half (no more than half of it).
 *
 * With TORTURE="narrow" it goes into a client instead, and makes its buffers small, so
 * that the server has to wait for it.  Linux and glibc only.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BYTE = -1, HALF = -2 }; /* beside the errnos */

static const struct {
    const char *name;
    int error;
} errors[] = {
    {"1-byte", BYTE},
    {"half", HALF},
    {"EAGAIN", EAGAIN},
    {"ECONNRESET", ECONNRESET},
    {"EHOSTUNREACH", EHOSTUNREACH},
    {"EINTR", EINTR},
    {"EIO", EIO},
    {"ENOBUFS", ENOBUFS},
    {"ENOMEM", ENOMEM},
    {"EPIPE", EPIPE},
    {"ETIMEDOUT", ETIMEDOUT},
};

static char call[16]; /* the one to fail; none before main() is near */
static int error;
static long first, last;
static const char *report_path;
static atomic_long *made; /* how often it was called, in all processes */
static pid_t server;

static void
say(const char *text)
{
    int saved_errno = errno;
    int fd = open(report_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        abort(); /* a run that nobody hears of proves nothing */
    syscall(SYS_close, fd);
    errno = saved_errno;
}

__attribute__((constructor)) static void
begin(void)
{
    const char *task = getenv("TORTURE");
    char name[16], what[16];

    report_path = getenv("TORTURE_LOG");
    if (!task || strcmp(task, "narrow") == 0)
        return;
    made = mmap(NULL, sizeof(*made), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
    if (!report_path || made == MAP_FAILED ||
        sscanf(task, "%15s %15s %ld %ld", name, what, &first, &last) != 4)
        abort();
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); ++i)
        if (strcmp(what, errors[i].name) == 0)
            error = errors[i].error;
    if (error == 0)
        abort();
    server = getpid();
    memcpy(call, name, sizeof(call));
}

__attribute__((destructor)) static void
end(void)
{
    char text[40];

    if (getpid() != server)
        return;
    snprintf(text, sizeof(text), "made %ld\n", atomic_load(made));
    say(text);
}

/* What this invocation is to do: 0 as always, or one of the errors. */
static int
fate(const char *name)
{
    if (strcmp(call, name) != 0)
        return 0;
    long n = atomic_fetch_add(made, 1) + 1;
    if (n < first || n > last)
        return 0;
    say("INJECTED\n");
    if (error > 0)
        errno = error;
    return error;
}

/* How many bytes are to be moved of those that could be. */
static size_t
shortened(int how, size_t len)
{
    return how == BYTE && len > 1 ? 1 : how == HALF ? (len + 1) / 2 : len;
}

ssize_t
recv(int fd, void *buf, size_t len, int flags)
{
    int how = fate("recv");

    return how > 0
               ? -1
               : syscall(SYS_recvfrom, fd, buf, shortened(how, len), flags, NULL, NULL);
}

ssize_t
send(int fd, const void *buf, size_t len, int flags)
{
    int how = fate("send");

    return how > 0 ? -1
                   : syscall(SYS_sendto, fd, buf, shortened(how, len), flags, NULL, 0);
}

/* A short count ends within the first piece. */
ssize_t
readv(int fd, const struct iovec *iov, int n)
{
    int how = fate("readv");

    if (how < 0)
        return syscall(SYS_read, fd, iov[0].iov_base, shortened(how, iov[0].iov_len));
    return how > 0 ? -1 : syscall(SYS_readv, fd, iov, n);
}

ssize_t
writev(int fd, const struct iovec *iov, int n)
{
    int how = fate("writev");

    if (how < 0)
        return syscall(SYS_write, fd, iov[0].iov_base, shortened(how, iov[0].iov_len));
    return how > 0 ? -1 : syscall(SYS_writev, fd, iov, n);
}

int
close(int fd)
{
    int result = (int)syscall(SYS_close, fd);

    return fate("close") > 0 ? -1 : result;
}

pid_t
wait(int *status)
{
    return fate("wait") > 0 ? -1 : waitpid(-1, status, 0);
}

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *memory, size_t size);

void *
malloc(size_t size)
{
    return fate("malloc") > 0 ? NULL : __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
    return fate("malloc") > 0 ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *memory, size_t size)
{
    return fate("malloc") > 0 ? NULL : __libc_realloc(memory, size);
}

int
socket(int family, int type, int protocol)
{
    const char *task = getenv("TORTURE");
    int fd = (int)syscall(SYS_socket, family, type, protocol), buffer = 4096,
        segment = 536;

    if (fd >= 0 && task && strcmp(task, "narrow") == 0 &&
        (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)) < 0 ||
         setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment)) < 0))
        abort();
    return fd;
}
