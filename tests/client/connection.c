/*
 * What the commands of rot13-client share: the oracle, a connection, and the report of
 * what was not as expected. client.h says what each function does.
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "client.h"

void
die(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fputs("rot13-client: ", stderr);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(status);
}

int64_t
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec / 1000;
}

size_t
least(size_t a, size_t b)
{
    return a < b ? a : b;
}

void *
must(void *memory)
{
    if (!memory)
        die(1, "out of memory");
    return memory;
}

void
append(struct bytes *b, const void *from, size_t len)
{
    if (b->room - b->len < len) {
        b->room = 2 * b->len + len;
        b->at = must(realloc(b->at, b->room));
    }
    if (len)
        memcpy(b->at + b->len, from, len);
    b->len += len;
}

void
drop_front(struct bytes *b, size_t len)
{
    b->len -= len;
    if (len && b->len)
        memmove(b->at, b->at + len, b->len);
}

/* ---- the oracle ----------------------------------------------------------------- */

/* Two alphabets side by side, unlike the arithmetic of rot13.c, so that the
 * two can hardly be wrong in the same way. */
static byte oracle[256];

void
make_oracle(void)
{
    const char *from = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const char *to = "NOPQRSTUVWXYZABCDEFGHIJKLMnopqrstuvwxyzabcdefghijklm";
    for (int i = 0; i < 256; i++)
        oracle[i] = (byte)i;
    for (; *from; from++, to++)
        oracle[(byte)*from] = (byte)*to;
}

void
rotate(byte *to, const byte *from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = oracle[from[i]];
}

byte lines[PERIOD], lines_rotated[PERIOD];

void
make_lines(void)
{
    for (int i = 0; i < LINES; i++) {
        char line[33];
        snprintf(line, sizeof line, "Line %011d of this flood.\n", i);
        memcpy(lines + 32 * i, line, 32);
    }
    rotate(lines_rotated, lines, PERIOD);
}

/* ---- reports -------------------------------------------------------------------- */

void
show(FILE *to, const byte *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const char *from = "\n\r\t\\", *name = "nrt\\";
        const char *known = at[i] ? strchr(from, at[i]) : NULL;
        if (known)
            fprintf(to, "\\%c", name[known - from]);
        else if (at[i] == 0)
            fputs("\\0", to);
        else if (at[i] < ' ' || at[i] > '~' || at[i] == '\'')
            fprintf(to, "\\x%02x", at[i]);
        else
            fputc(at[i], to);
    }
}

const char *
plural(size_t n)
{
    return n == 1 ? "" : "s";
}

void
report(const struct conn *c, const byte *expect, size_t len, size_t right,
       const char *words, const char *why)
{
    fflush(stdout);
    size_t tail = least(c->sent, sizeof c->tail);
    fprintf(stderr, "step:     %s\nsent:     %s", c->step, c->sent > tail ? "..." : "");
    show(stderr, c->tail + sizeof c->tail - tail, tail);
    fprintf(stderr, c->sent ? "  (%zu byte%s)\n" : "nothing\n", c->sent, plural(c->sent));

    size_t from = right > 100 ? right - 60 : 0, came = right + c->in.len;
    fprintf(stderr, "received: %s", from ? "..." : "");
    if (right)
        show(stderr, expect + from, right - from);
    show(stderr, c->in.at, least(c->in.len, 100));
    fprintf(stderr, "%s%s%s", c->in.len > 100 ? "..." : "", came && why ? ", then " : "",
            why ? why : "");
    if (came > 100)
        fprintf(stderr, "  (%zu bytes, the first %zu of them right)", came, right);

    fprintf(stderr, "\nexpected: ");
    if (words) {
        fprintf(stderr, "%s\n", words);
        return;
    }
    fputs(from ? "..." : "", stderr);
    show(stderr, expect + from, least(len - from, 160));
    fputs(len - from > 160 ? "..." : "", stderr);
    fprintf(stderr, len > 100 ? "  (%zu bytes)\n" : "\n", len);
}

void
broken(const struct conn *c, const byte *expect, size_t len, size_t right,
       const char *words, const char *why)
{
    report(c, expect, len, right, words, why);
    exit(1);
}

const char *
silence(void)
{
    static char text[80];
    snprintf(text, sizeof text, "nothing in %g s, connection still open",
             (double)opt.patience / SECOND);
    return text;
}

int64_t
longest(void)
{
    return 5 * opt.patience;
}

const char *
too_slow(const char *what)
{
    static char text[80];
    snprintf(text, sizeof text, "still %s after %g s: too slow", what,
             (double)longest() / SECOND);
    return text;
}

/* ---- a connection --------------------------------------------------------------- */

bool
wait_for(int fd, short events, int64_t until)
{
    struct pollfd p = {.fd = fd, .events = events};
    for (;;) {
        int64_t left = until - now();
        int n = poll(&p, 1, left > 0 ? (int)((left + 999) / 1000) : 0);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            die(1, "poll: %s", strerror(errno));
        if (n == 0)
            return false;
    }
}

/* An address has some 28000 ports to connect from,
 * slow to find when most are taken: every 10000 connections come from another one, first
 * 127.0.0.1, then 127.0.0.2, and so on. */
int
start_connect(bool narrow)
{
    static in_addr_t started = 0;
    in_addr_t source = INADDR_LOOPBACK + started++ / 10000 % 250;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = {htonl(source)}};
    bool elsewhere = source != INADDR_LOOPBACK && strncmp(opt.address, "127.", 4) == 0;
    int one = 1, buffer = 4096, segment = 536;
    int fd = socket(opt.to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    // No Nagle: what is sent goes out as it was cut. REUSEADDR: the kernel may give this
    // connection the server's own port, 40713, as its source, and the next server is to
    // have it all the same.
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        (narrow &&
         (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer) < 0 ||
          setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment) < 0)) ||
        (elsewhere &&
         (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one) < 0 ||
          bind(fd, (struct sockaddr *)&from, sizeof from) < 0)) ||
        (connect(fd, (struct sockaddr *)&opt.to, opt.to_len) < 0 &&
         errno != EINPROGRESS)) {
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

int
connect_result(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

void
connect_now(struct conn *c, bool narrow)
{
    c->fd = start_connect(narrow);
    int why = c->fd < 0 ? errno : 0;
    if (!why)
        why = wait_for(c->fd, POLLOUT, now() + opt.patience) ? connect_result(c->fd)
                                                             : ETIMEDOUT;
    if (why)
        broken(c, NULL, 0, 0, "a connection", strerror(why));
}

void
reset(int fd)
{
    struct linger now_or_never = {.l_onoff = 1, .l_linger = 0};
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &now_or_never, sizeof now_or_never) < 0)
        die(1, "SO_LINGER: %s", strerror(errno));
    close(fd);
}

void
leave(struct conn *c)
{
    for (int i = 0; i < 100 && !c->ended; i++) // the end comes after all that waits
        receive(c, SIZE_MAX);
    if (c->ended)
        reset(c->fd);
    else
        close(c->fd);
    c->fd = -1;
}

void
note_sent(struct conn *c, const byte *at, size_t len)
{
    size_t n = least(len, sizeof c->tail);
    memmove(c->tail, c->tail + n, sizeof c->tail - n);
    memcpy(c->tail + sizeof c->tail - n, at + len - n, n);
    c->sent += len;
}

void
receive(struct conn *c, size_t most)
{
    byte buf[65536];
    ssize_t n = recv(c->fd, buf, least(most, sizeof buf), 0);
    if (n > 0)
        append(&c->in, buf, (size_t)n);
    else if (n == 0)
        c->ended = "end of file";
    else if (errno != EAGAIN && errno != EINTR)
        c->ended = errno == ECONNRESET ? "reset" : strerror(errno);
}

void
send_all(struct conn *all, size_t n, struct conn *c, const byte *at, size_t len,
         int flags)
{
    int64_t until = now() + opt.patience, limit = now() + longest();
    for (size_t done = 0; done < len;) {
        if (now() > limit)
            broken(c, NULL, 0, 0, "that the server goes on reading", too_slow("reading"));
        ssize_t sent = send(c->fd, at + done, len - done, flags);
        if (sent >= 0) {
            note_sent(c, at + done, (size_t)sent);
            done += (size_t)sent;
            until = now() + opt.patience;
            continue;
        }
        if (errno != EAGAIN && errno != EINTR)
            broken(c, NULL, 0, 0, "that the server goes on reading",
                   errno == ECONNRESET || errno == EPIPE ? "reset" : strerror(errno));

        struct pollfd p[n];
        for (size_t i = 0; i < n; i++) {
            bool wanted = all[i].fd >= 0 && !all[i].ended && !all[i].unread;
            p[i] = (struct pollfd){.fd = all[i].fd, .events = wanted ? POLLIN : 0};
            if (&all[i] == c)
                p[i].events |= POLLOUT;
            else if (!wanted)
                p[i].fd = -1;
        }
        if (poll(p, n, 20) < 0 && errno != EINTR)
            die(1, "poll: %s", strerror(errno));
        for (size_t i = 0; i < n; i++) {
            size_t before = all[i].in.len;
            if (p[i].events & p[i].revents & POLLIN)
                receive(&all[i], SIZE_MAX);
            if (all[i].in.len > before)
                until = now() + opt.patience;
        }
        if (now() > until)
            broken(c, NULL, 0, 0, "that the server goes on reading", silence());
    }
}

void
hear(struct conn *c, const byte *expect, size_t len)
{
    int64_t until = now() + opt.patience, limit = now() + longest();
    c->unread = false;
    for (size_t heard = 0;;) {
        size_t n = least(c->in.len, len - heard), same = n;
        if (n && memcmp(c->in.at, expect + heard, n) != 0)
            for (same = 0; c->in.at[same] == expect[heard + same];)
                same++;
        drop_front(&c->in, same);
        heard += same;
        if (same < n)
            broken(c, expect, len, heard, NULL, NULL);
        if (heard == len)
            return;
        if (c->ended)
            broken(c, expect, len, heard, NULL, c->ended);
        if (now() > limit)
            broken(c, expect, len, heard, NULL, too_slow("coming"));
        if (!wait_for(c->fd, c->out.len ? POLLIN | POLLOUT : POLLIN, until))
            broken(c, expect, len, heard, NULL, silence());
        ssize_t sent = c->out.len ? send(c->fd, c->out.at, c->out.len, 0) : 0;
        if (sent > 0) {
            note_sent(c, c->out.at, (size_t)sent);
            drop_front(&c->out, (size_t)sent);
        }
        receive(c, SIZE_MAX);
        if (c->in.len)
            until = now() + opt.patience;
    }
}

void
ask(struct conn *c, const char *line)
{
    byte answer[100];
    size_t len = strlen(line);
    rotate(answer, (const byte *)line, len);
    send_all(c, 1, c, (const byte *)line, len, 0);
    hear(c, answer, len);
}
