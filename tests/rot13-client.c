/*
 * rot13-client: the client that tests a ROT13 server from outside, for all that nc
 * cannot do: resets and urgent data, ten thousand connections at once, streams cut at
 * random. It knows nothing of the server but its address and the contract
 * (docs/contract.md), so it tests any server, whatever it is written in.
 *
 *     ./rot13-client --help
 *
 * Parts, in this order: what all commands share; scene; crowd; churn; flood; fuzz; wait
 * and free; guard; the command line. Linux only (epoll, prctl, /proc).
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_LINE 16384 // the contract's: a longer line may be answered in pieces
#define SECOND   1000000

/* ---- what all commands share ------------------------------------------------- */

typedef unsigned char byte;

/* What the command line said; set once, in main. */
static struct {
    const char *address, *keep;
    int64_t port, at_least, clients, connections, seed, streams, only;
    int64_t verbose, idle, hold, unread, first;
    int64_t patience, quiet, kill_after; // microseconds, as all times here
    struct sockaddr_storage to;          // address and port, ready for connect
    socklen_t to_len;
} opt = {.address = "127.0.0.1",
         .keep = ".",
         .port = 40713,
         .clients = 4,
         .connections = 16,
         .streams = 10000,
         .only = -1,
         .first = -1,
         .patience = 5 * SECOND,
         .quiet = SECOND / 5,
         .kill_after = 2 * SECOND};

struct bytes {
    byte *at;
    size_t len, room;
};

struct conn {
    const char *step;  // what is being done, for the report
    const char *name;  // in a scene: A, B, ...
    int fd;            // -1: not open
    bool half_closed;  // nothing more can be sent
    bool unread;       // nothing is to be read until somebody wants to hear
    const char *ended; // NULL while open, then "end of file" or "reset"
    struct bytes in;   // arrived, not yet heard
    struct bytes out;  // to be sent when there is room
    size_t sent;       // bytes in all
    byte tail[200];    // the last of them
    size_t stuck;      // bytes of the endless stream (see fill_lines)
};

static volatile sig_atomic_t interrupted;

static _Noreturn void
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

static int64_t
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec / 1000;
}

static size_t
least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void *
must(void *memory)
{
    if (!memory)
        die(1, "out of memory");
    return memory;
}

static void
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

static void
drop_front(struct bytes *b, size_t len)
{
    b->len -= len;
    if (len && b->len)
        memmove(b->at, b->at + len, b->len);
}

/* The oracle: two alphabets side by side, unlike the arithmetic of rot13.c, so that the
 * two can hardly be wrong in the same way. */
static byte oracle[256];

static void
make_oracle(void)
{
    const char *from = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const char *to = "NOPQRSTUVWXYZABCDEFGHIJKLMnopqrstuvwxyzabcdefghijklm";
    for (int i = 0; i < 256; i++)
        oracle[i] = (byte)i;
    for (; *from; from++, to++)
        oracle[(byte)*from] = (byte)*to;
}

static void
rotate(byte *to, const byte *from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = oracle[from[i]];
}

/* An endless stream of lines: these over and over. A prime number of them, so that no
 * server that loses a few whole buffers gets into step again unseen. */
#define LINES  4093
#define PERIOD (LINES * 32)
static byte lines[PERIOD], lines_rotated[PERIOD];

static void
make_lines(void)
{
    for (int i = 0; i < LINES; i++) {
        char line[33];
        snprintf(line, sizeof line, "Line %011d of this flood.\n", i);
        memcpy(lines + 32 * i, line, 32);
    }
    rotate(lines_rotated, lines, PERIOD);
}

/* Bytes as one can type them, for the shell's single quotes too. */
static void
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

static const char *
plural(size_t n)
{
    return n == 1 ? "" : "s";
}

/*
 * The report of an expectation that was not met. Expected is either `expect` (of which
 * the first `right` bytes came, then what is in c->in) or said in words. `why`: what
 * came instead of more bytes, or NULL.
 */
static void
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

static _Noreturn void
broken(const struct conn *c, const byte *expect, size_t len, size_t right,
       const char *words, const char *why)
{
    report(c, expect, len, right, words, why);
    exit(1);
}

static const char *
silence(void)
{
    static char text[80];
    snprintf(text, sizeof text, "nothing in %g s, connection still open",
             (double)opt.patience / SECOND);
    return text;
}

/* Every byte renews the patience with a server, but not for ever: who says a byte now and
 * then would never be done. */
static int64_t
longest(void)
{
    return 5 * opt.patience;
}

static const char *
too_slow(const char *what)
{
    static char text[80];
    snprintf(text, sizeof text, "still %s after %g s: too slow", what,
             (double)longest() / SECOND);
    return text;
}

/* False: nothing happened until then. */
static bool
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

/* Non-blocking; -1 and errno if it cannot even be tried. Narrow: with small buffers, so
 * that the server has to wait to send. An address has some 28000 ports to connect from,
 * slow to find when most are taken: every 10000 connections come from another one, first
 * 127.0.0.1, then 127.0.0.2, and so on. */
static int
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

/* How a connect ended: 0 or an errno. */
static int
connect_result(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

static void
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

/* Close with a reset instead of an end of file. */
static void
reset(int fd)
{
    struct linger now_or_never = {.l_onoff = 1, .l_linger = 0};
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &now_or_never, sizeof now_or_never) < 0)
        die(1, "SO_LINGER: %s", strerror(errno));
    close(fd);
}

static void
note_sent(struct conn *c, const byte *at, size_t len)
{
    size_t n = least(len, sizeof c->tail);
    memmove(c->tail, c->tail + n, sizeof c->tail - n);
    memcpy(c->tail + sizeof c->tail - n, at + len - n, n);
    c->sent += len;
}

/* What has arrived goes into c->in, up to `most` bytes; an end is noted in c->ended. */
static void
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

/* Send all of it. While that has to wait, what arrives on any of the n connections is
 * collected, or two big exchanges would wait for each other. */
static void
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

/* Exactly these bytes come next; what came beyond them stays. */
static void
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

/* One line there and back. */
static void
ask(struct conn *c, const char *line)
{
    byte answer[100];
    size_t len = strlen(line);
    rotate(answer, (const byte *)line, len);
    send_all(c, 1, c, (const byte *)line, len, 0);
    hear(c, answer, len);
}

/* ---- scene: a little play, step by step --------------------------------------- */

#define CAST 64

static struct conn cast[CAST];
static size_t cast_len;

enum verb {
    CONNECTS,
    CONNECTS_NARROWLY,
    ACCEPTS,
    HALF_CLOSES,
    CLOSES,
    RESETS,
    IS_TURNED_AWAY,
    HEARS_NOTHING,
    HEARS_THE_END,
    HEARS_ALL_OF_IT,
    SENDS_UNTIL_STUCK,
    LISTENS,
    SENDS_URGENTLY,
    SENDS,
    HEARS,
    NO_VERB
};

/* A blank at the end: a text follows. The first that fits is it. */
static const char *const verbs[] = {"connects",
                                    "connects narrowly",
                                    "accepts",
                                    "half-closes",
                                    "closes",
                                    "resets",
                                    "is turned away",
                                    "hears nothing",
                                    "hears the end",
                                    "hears all of it",
                                    "sends until stuck",
                                    "listens on ",
                                    "sends urgently ",
                                    "sends ",
                                    "hears "};

/* For a program that connects, as the readers do: the other side of it. */
static void
listen_on(struct conn *c, const struct bytes *text)
{
    struct sockaddr_in here = {.sin_family = AF_INET,
                               .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char digits[6] = "";
    int one = 1;
    memcpy(digits, text->at, least(text->len, sizeof digits - 1));
    here.sin_port = htons((in_port_t)atoi(digits));
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || setsockopt(c->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(c->fd, (struct sockaddr *)&here, sizeof here) < 0 || listen(c->fd, 1) < 0)
        die(1, "%s: %s", c->step, strerror(errno));
}

/* The first who calls; nobody else after that. */
static void
accept_one(struct conn *c)
{
    int listener = c->fd, one = 1;
    if (!wait_for(listener, POLLIN, now() + opt.patience))
        broken(c, NULL, 0, 0, "a connection", silence());
    c->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (c->fd < 0 || setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0)
        broken(c, NULL, 0, 0, "a connection", strerror(errno));
    close(listener);
}

static void
send_until_stuck(struct conn *c)
{
    const size_t bound = 64 << 20; // far more than all buffers on the way can hold
    int64_t until = now() + opt.patience, limit = now() + longest();
    c->unread = true;
    while (c->stuck < bound) {
        if (now() > limit)
            broken(c, NULL, 0, 0,
                   "that the server stops reading from one who does not read",
                   too_slow("reading"));
        size_t at = c->stuck % PERIOD;
        ssize_t n = send(c->fd, lines + at, least(PERIOD - at, bound - c->stuck), 0);
        if (n > 0) {
            note_sent(c, lines + at, (size_t)n);
            c->stuck += (size_t)n;
            until = now() + SECOND / 3;
        } else if (errno != EAGAIN && errno != EINTR) {
            broken(c, NULL, 0, 0, "that the connection stays open", strerror(errno));
        } else if (!wait_for(c->fd, POLLOUT, until)) {
            if (c->stuck == 0)
                broken(c, NULL, 0, 0, "that some bytes are taken", "no room to send");
            printf("%s was stuck after %zu bytes\n", c->name, c->stuck);
            return;
        }
    }
    broken(c, NULL, 0, 0, "that the server stops reading from one who does not read",
           "nothing was read; the server takes without bound");
}

static void
hear_all_of_it(struct conn *c)
{
    size_t rest = c->half_closed ? 0 : (32 - c->stuck % 32) % 32; // ends the last line
    append(&c->out, lines + c->stuck % PERIOD, rest);
    struct bytes expect = {0};
    for (size_t left = c->stuck + rest; left > 0; left -= least(left, PERIOD))
        append(&expect, lines_rotated, least(left, PERIOD));
    hear(c, expect.at, expect.len);
    free(expect.at);
    c->stuck = 0;
}

static void
hear_nothing(struct conn *c)
{
    char words[80];
    snprintf(words, sizeof words, "nothing for %g s, and no end of file",
             (double)opt.quiet / SECOND);
    c->unread = false;
    if (!c->in.len && !c->ended && wait_for(c->fd, POLLIN, now() + opt.quiet))
        receive(c, SIZE_MAX);
    if (c->in.len || c->ended)
        broken(c, NULL, 0, 0, words, c->ended);
}

static void
hear_end(struct conn *c, bool reset_too)
{
    const char *words = reset_too ? "end of file or reset" : "end of file";
    c->unread = false;
    if (!c->in.len && !c->ended && wait_for(c->fd, POLLIN, now() + opt.patience))
        receive(c, SIZE_MAX);
    if (c->in.len || !c->ended)
        broken(c, NULL, 0, 0, words, c->in.len ? c->ended : silence());
    if (strcmp(c->ended, "end of file") != 0 && !reset_too)
        broken(c, NULL, 0, 0, words, c->ended);
}

static void
play(struct conn *c, enum verb verb, const struct bytes *text)
{
    switch (verb) {
    case CONNECTS:
    case CONNECTS_NARROWLY:
        free(c->in.at);
        free(c->out.at);
        *c = (struct conn){.step = c->step, .name = c->name, .fd = -1};
        connect_now(c, verb == CONNECTS_NARROWLY);
        break;
    case LISTENS:
        listen_on(c, text);
        break;
    case ACCEPTS:
        accept_one(c);
        break;
    case HALF_CLOSES:
        c->half_closed = true;
        if (shutdown(c->fd, SHUT_WR) < 0)
            broken(c, NULL, 0, 0, "that the connection is open", strerror(errno));
        break;
    case CLOSES:
        close(c->fd);
        c->fd = -1;
        break;
    case RESETS:
        reset(c->fd);
        c->fd = -1;
        break;
    case IS_TURNED_AWAY:
        hear_end(c, true);
        break;
    case HEARS_NOTHING:
        hear_nothing(c);
        break;
    case HEARS_THE_END:
        hear_end(c, false);
        break;
    case HEARS_ALL_OF_IT:
        hear_all_of_it(c);
        break;
    case SENDS_UNTIL_STUCK:
        send_until_stuck(c);
        break;
    case SENDS_URGENTLY:
        send_all(cast, cast_len, c, text->at, text->len, MSG_OOB);
        break;
    case SENDS:
        send_all(cast, cast_len, c, text->at, text->len, 0);
        break;
    case HEARS:
        hear(c, text->at, text->len);
        break;
    case NO_VERB:
        break;
    }
}

static struct bytes
unescape(const char *step, const char *text)
{
    struct bytes b = {0};
    for (; *text; text++) {
        byte c = (byte)*text;
        if (c == '\\') {
            const char *name = "nrt0\\", *known = *++text ? strchr(name, *text) : NULL;
            if (known)
                c = (byte) "\n\r\t\0\\"[known - name];
            else if (*text == 'x' && isxdigit((byte)text[1]) && isxdigit((byte)text[2])) {
                char hex[3] = {text[1], text[2], 0};
                c = (byte)strtoul(hex, NULL, 16);
                text += 2;
            } else
                die(2, "%s: a \\ is followed by n, r, t, 0, \\ or xHH", step);
        }
        append(&b, &c, 1);
    }
    return b;
}

/* TEXT, "N times TEXT" or "file PATH" */
static struct bytes
read_text(const char *step, const char *text)
{
    long times = 1;
    int skip = 0;
    struct bytes b = {0};
    if (strncmp(text, "file ", 5) == 0) {
        FILE *f = fopen(text + 5, "rb");
        byte buf[65536];
        for (size_t n = 1; f && n > 0;) {
            n = fread(buf, 1, sizeof buf, f);
            append(&b, buf, n);
        }
        if (!f || ferror(f))
            die(2, "%s: %s: %s", step, text + 5, strerror(errno));
        fclose(f);
        return b;
    }
    if (sscanf(text, "%9ld times%n", &times, &skip) != 1 || text[skip] != ' ' ||
        skip++ == 0)
        times = 1, skip = 0;
    if (times < 1)
        die(2, "%s: once at least", step);
    struct bytes once = unescape(step, text + skip);
    while (times-- > 0)
        append(&b, once.at, once.len);
    free(once.at);
    return b;
}

static int
do_scene(int argc, char **argv)
{
    struct step {
        struct conn *who;
        enum verb verb;
        struct bytes text;
    } *steps = must(calloc((size_t)argc, sizeof *steps));

    for (int i = 0; i < argc; i++) { // all must be understood before the first is done
        struct step *s = &steps[i];
        size_t len = strcspn(argv[i], " ");
        const char *rest = argv[i] + len + (argv[i][len] != 0);
        size_t words = 0;
        for (s->verb = 0; s->verb < NO_VERB; s->verb++) {
            words = strlen(verbs[s->verb]);
            if (strncmp(rest, verbs[s->verb], words) == 0 &&
                (verbs[s->verb][words - 1] == ' ' || rest[words] == 0))
                break;
        }
        if (s->verb == NO_VERB)
            die(2, "'%s' is no step that I know; see --help", argv[i]);
        if (verbs[s->verb][words - 1] == ' ')
            s->text = read_text(argv[i], rest + words);
        for (size_t c = 0; c < cast_len && !s->who; c++)
            if (strlen(cast[c].name) == len && strncmp(cast[c].name, argv[i], len) == 0)
                s->who = &cast[c];
        if (!s->who && cast_len == CAST)
            die(2, "more than %d connections; see the command crowd", CAST);
        if (!s->who) {
            s->who = &cast[cast_len++];
            s->who->name = must(strndup(argv[i], len));
            s->who->fd = -1;
        }
    }

    int64_t start = now();
    for (int i = 0; i < argc; i++) {
        struct conn *c = steps[i].who;
        c->step = argv[i];
        bool opens = steps[i].verb == CONNECTS || steps[i].verb == CONNECTS_NARROWLY ||
                     steps[i].verb == LISTENS;
        if ((c->fd >= 0) == opens)
            die(2, "%s: %s is %s connected", argv[i], c->name,
                c->fd >= 0 ? "already" : "not");
        play(c, steps[i].verb, &steps[i].text);
        if (opt.verbose)
            printf("%5lld ms  %s\n", (long long)(now() - start) / 1000, argv[i]);
        fflush(stdout);
        free(steps[i].text.at);
    }
    for (size_t c = 0; c < cast_len; c++) {
        if (cast[c].fd >= 0)
            close(cast[c].fd);
        free(cast[c].in.at);
        free(cast[c].out.at);
        free((char *)cast[c].name);
    }
    free(steps);
    return 0;
}

/* ---- crowd: many connections, all open at once -------------------------------- */

struct member {
    int fd;
    bool up, turned_away;
    unsigned asked, answered; // rounds; who falls behind is not asked again
    size_t got;               // bytes of the answer that is due
};

static size_t
crowd_line(char *line, size_t room, long i, unsigned round)
{
    return (size_t)snprintf(line, room, "Client %ld in round %u\n", i, round);
}

static _Noreturn void
crowd_fails(long i, const char *what, const char *sent, const char *expected,
            const char *why)
{
    char step[80];
    snprintf(step, sizeof step, "connection %ld of the crowd %s", i, what);
    struct conn c = {.step = step};
    note_sent(&c, (const byte *)sent, strlen(sent));
    broken(&c, NULL, 0, 0, expected, why);
}

static long
crowd_connects(struct member *m, long n, int epoll)
{
    long started = 0, up = 0;
    int64_t until = now() + opt.patience;
    while (up < n) {
        while (started < n && started - up < 500) {
            struct epoll_event e = {.events = EPOLLOUT, .data.u64 = (uint64_t)started};
            m[started].fd = start_connect(false);
            if (m[started].fd < 0 ||
                epoll_ctl(epoll, EPOLL_CTL_ADD, m[started].fd, &e) < 0)
                crowd_fails(started, "connects", "", "a connection", strerror(errno));
            started++;
        }
        struct epoll_event events[256];
        int count = epoll_wait(epoll, events, 256, 100);
        for (int k = 0; k < count; k++) {
            long i = (long)events[k].data.u64;
            int why = connect_result(m[i].fd);
            struct epoll_event e = {.events = EPOLLIN, .data.u64 = (uint64_t)i};
            if (why || epoll_ctl(epoll, EPOLL_CTL_MOD, m[i].fd, &e) < 0)
                crowd_fails(i, "connects", "", "a connection",
                            strerror(why ? why : errno));
            m[i].up = true;
            up++;
            until = now() + opt.patience;
        }
        if (now() > until && opt.at_least)
            break;
        if (now() > until)
            crowd_fails(up, "connects", "", "a connection", "no answer to it");
    }
    return up;
}

/* Everybody who was answered in every round before says a line; the answers are
 * awaited, and those of earlier rounds may still come. How many were answered in
 * this one. */
static long
crowd_speaks(struct member *m, long n, int epoll, unsigned round)
{
    char line[80];
    long asked = 0, answered = 0;
    for (long k = 0; k < n; k++) {
        long i = round % 2 ? n - 1 - k : k;
        if (!m[i].up || m[i].turned_away || m[i].answered != round ||
            (opt.idle && i != n / 2))
            continue;
        size_t len = crowd_line(line, sizeof line, i, round);
        m[i].asked++;
        asked++;
        if (send(m[i].fd, line, len, 0) != (ssize_t)len && !opt.at_least)
            crowd_fails(i, "sends a line", "", "that the server reads", strerror(errno));
    }
    int64_t until = now() + opt.patience;
    while (answered < asked) {
        struct epoll_event events[256];
        int count = epoll_wait(epoll, events, 256, 100);
        for (int k = 0; k < count; k++) {
            long i = (long)events[k].data.u64;
            byte expect[80];
            size_t len = crowd_line(line, sizeof line, i, m[i].answered);
            rotate(expect, (byte *)line, len);
            struct conn c = {.fd = m[i].fd, .step = "one of the crowd hears its answer"};
            receive(&c, sizeof line);
            if (c.ended && opt.at_least && m[i].got == 0) {
                epoll_ctl(epoll, EPOLL_CTL_DEL, m[i].fd, NULL);
                m[i].turned_away = true;
                asked -= m[i].asked > round;
            } else if (c.ended || c.in.len > len - m[i].got ||
                       m[i].asked == m[i].answered ||
                       memcmp(c.in.at, expect + m[i].got, c.in.len) != 0) {
                note_sent(&c, (byte *)line, len);
                broken(&c, expect, len, m[i].got, NULL, c.ended);
            } else if ((m[i].got += c.in.len) == len) {
                m[i].got = 0;
                if (m[i].answered++ == round) { // not a late one
                    answered++;
                    bool enough = opt.at_least && answered >= opt.at_least;
                    until = now() + (enough ? SECOND / 2 : opt.patience);
                }
            }
            free(c.in.at);
        }
        if (now() > until && opt.at_least)
            break;
        if (now() > until)
            for (long i = 0; i < n; i++)
                if (m[i].answered == round && (!opt.idle || i == n / 2)) {
                    crowd_line(line, sizeof line, i, round);
                    crowd_fails(i, "hears its answer", line, "this line's ROT13",
                                silence());
                }
    }
    return answered;
}

static int
do_crowd(long n)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        die(1, "RLIMIT_NOFILE: %s", strerror(errno));
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max < (rlim_t)n + 10)
        die(1,
            "%ld connections need %ld descriptors, and the hard limit is %llu (ulimit "
            "-Hn)",
            n, n + 10, (unsigned long long)limit.rlim_max);

    int64_t start = now();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct member *m = must(calloc((size_t)n, sizeof *m));
    long up = crowd_connects(m, n, epoll);
    long answered = 0;
    unsigned round = 0;
    while (round < 2)
        answered = crowd_speaks(m, n, epoll, round++);
    double seconds = (double)(now() - start) / SECOND;
    if (opt.hold) {
        printf("holding %ld\n", up);
        fflush(stdout);
        char buf[100];
        while (read(STDIN_FILENO, buf, sizeof buf) > 0)
            ;
        answered = crowd_speaks(m, n, epoll, round++);
    }
    printf("%ld of %ld connected, %ld answered %u times each in %.2f s\n", up, n,
           answered, round, seconds);
    for (long i = 0; i < n; i++)
        if (m[i].fd > 0)
            close(m[i].fd);
    free(m);
    if (answered < opt.at_least)
        die(1, "%ld answered, and %ld were to be", answered, (long)opt.at_least);
    return 0;
}

/* ---- churn: many connections, one after the other ------------------------------ */

static int
do_churn(long n)
{
    int64_t start = now(), limit = start + longest();
    for (long i = 0; i < n; i++) {
        struct conn c = {.step = "one of many connects, asks and hears its answer"};
        char line[80];
        if (now() > limit)
            broken(&c, NULL, 0, 0, "a hundred such clients served, one after the other",
                   too_slow("not done"));
        if (i % 100 == 0)
            limit = now() + longest();
        crowd_line(line, sizeof line, i, 0);
        connect_now(&c, false);
        if (i % 10 == 5) { // goes with its answer unread, which resets the connection
            c.step = "one of many asks, and leaves before it has read the answer";
            send_all(&c, 1, &c, (byte *)line, strlen(line), 0);
            if (!wait_for(c.fd, POLLIN, now() + opt.patience))
                broken(&c, NULL, 0, 0, "an answer to leave unread", silence());
        } else {
            ask(&c, line);
        }
        if (i % 10 == 0)
            reset(c.fd);
        else
            close(c.fd);
        free(c.in.at);
        free(c.out.at);
    }
    double seconds = (double)(now() - start) / SECOND;
    printf("%ld connections in %.2f s, %.0f a second\n", n, seconds, (double)n / seconds);
    return 0;
}

/* ---- flood: how long does an ordinary client wait while others send and send ---- */

struct flood { // what the two processes share
    _Atomic uint64_t moved;
    _Atomic int wrong, lost;
    _Atomic bool stuck; // nobody has been able to send anything for half a second
};

static void
flood_turn(struct conn *c, short ready, struct flood *f)
{
    size_t at = c->sent % PERIOD, heard = c->stuck % PERIOD; // stuck: heard so far
    if (ready & POLLOUT) {
        ssize_t n = send(c->fd, lines + at, least(PERIOD - at, 65536), 0);
        if (n > 0) {
            c->sent += (size_t)n;
            f->moved += (uint64_t)n;
        }
    }
    if (ready & (POLLIN | POLLERR | POLLHUP)) {
        c->in.len = 0;
        receive(c, least(PERIOD - heard, 65536));
        c->stuck += c->in.len;
        if (c->stuck > c->sent || memcmp(c->in.at, lines_rotated + heard, c->in.len) != 0)
            f->wrong++;
        else if (c->ended)
            f->lost++;
        else
            return;
        close(c->fd);
        c->fd = -1;
    }
}

static int
do_flood(long seconds)
{
    size_t n = (size_t)opt.clients;
    struct conn *flooders = must(calloc(n, sizeof *flooders));
    struct flood *f =
        mmap(NULL, sizeof *f, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (f == MAP_FAILED)
        die(1, "mmap: %s", strerror(errno));
    struct conn c = {.step = "an ordinary client asks while others flood"};
    for (size_t i = 0; i < n; i++) {
        if (i == n / 2) // neither the first, nor the last to be served each time round
            connect_now(&c, false);
        flooders[i].step = "a flooder connects";
        connect_now(&flooders[i], false);
    }
    int64_t end = now() + seconds * SECOND, limit = end + opt.patience;

    /* The flooders are a process of their own, so that what is measured is the server
     * and not how busy we are ourselves. */
    pid_t child = fork();
    if (child < 0)
        die(1, "fork: %s", strerror(errno));
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct pollfd *p = must(calloc(n, sizeof *p));
        while (1) {
            for (size_t i = 0; i < n; i++)
                p[i] = (struct pollfd){.fd = flooders[i].fd,
                                       .events = opt.unread ? POLLOUT : POLLIN | POLLOUT};
            if (poll(p, n, 500) > 0)
                for (size_t i = 0; i < n; i++)
                    flood_turn(&flooders[i], p[i].revents, f);
            else
                f->stuck = true;
        }
    }
    for (size_t i = 0; i < n; i++)
        close(flooders[i].fd);

    long asked = 0;
    int64_t longest = 0;
    /* Those who do not read burden nobody until all buffers on the way are full. */
    for (int64_t start;
         (start = now()) < end || (opt.unread && !f->stuck && start < limit); asked++) {
        char line[80];
        crowd_line(line, sizeof line, asked, 0);
        ask(&c, line);
        int64_t took = now() - start;
        if (took > longest)
            longest = took;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    printf("longest wait %.1f ms over %ld lines; %zu flooders moved %llu bytes",
           (double)longest / 1000, asked, n, (unsigned long long)f->moved);
    putchar('\n');
    close(c.fd);
    free(flooders);
    free(c.in.at);

    /* Less than this fits into the buffers on the way: no flood has taken place. */
    uint64_t at_least = (uint64_t)n * MAX_LINE;
    if (!f->wrong && !f->lost && f->moved >= at_least)
        return 0;
    fflush(stdout);
    fprintf(
        stderr,
        "step:     %zu clients send all they can, and %s\n"
        "received: %d of them a wrong answer, %d were cut off; they moved %llu bytes\n"
        "expected: right answers, nobody cut off, and %llu bytes at least\n",
        n, opt.unread ? "do not read" : "read", f->wrong, f->lost,
        (unsigned long long)f->moved, (unsigned long long)at_least);
    return 1;
}

/* ---- fuzz: random streams, randomly cut, against the oracle ---------------------- */

#define MAX_STREAM 200000
#define MAX_CUTS   40

struct stream {
    uint64_t index;
    const char *kind;
    byte data[MAX_STREAM];
    size_t len;
    size_t cuts[MAX_CUTS + 1]; // where the pieces end, in order; the last is len
    int pauses[MAX_CUTS + 1];  // microseconds before each
    size_t pieces;
    bool half_close;  // then read to the end; if not, read the complete lines' answers,
    bool reset;       // and close or reset
    size_t read_size; // at most so much at a time,
    int read_pause;   // and so many microseconds between
    bool narrow;      // see start_connect
};

struct slot { // a stream on its way
    struct stream s;
    byte expect[MAX_STREAM];
    size_t whole_lines; // bytes up to the last newline
    struct conn c;
    bool connected;
    size_t line_start; // in what was sent
    size_t piece, got; // pieces begun, bytes that came and were right
    int64_t begun, send_at, read_at, settled_at, progress;
    enum { RUNNING, RIGHT, WRONG } verdict;
    const char *why;
    bool early; // it is wrong because something came before its newline was sent
};

static uint64_t
next_random(uint64_t *r) // splitmix64
{
    uint64_t z = *r += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static size_t
below(uint64_t *r, size_t n)
{
    return next_random(r) % n;
}

static void
add_random(struct stream *s, uint64_t *r, size_t n, const char *from)
{
    size_t choice = from ? strlen(from) : 256;
    for (size_t i = 0; i < n && s->len < MAX_STREAM; i++) {
        size_t k = below(r, choice);
        s->data[s->len++] = from ? (byte)from[k] : (byte)k;
    }
}

static int
compare_sizes(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

static void
make_stream(struct stream *s, uint64_t seed, uint64_t index)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char text[] = "abcdmnopyzABLMNYZ 0189.,@[`{\n\n";
    static const size_t edges[] = {16382, 16383, 16384, 16385,
                                   16386, 32767, 32768, 32769};
    uint64_t r = seed;
    r = next_random(&r) + index;
    r = next_random(&r);
    size_t roll = below(&r, 1000), small = below(&r, 200);
    s->index = index;
    s->len = 0;
    if (roll < 20) {
        s->kind = "empty";
    } else if (roll < 300) {
        s->kind = "all byte values";
        add_random(s, &r, small, NULL);
    } else if (roll < 700) {
        s->kind = "short lines";
        add_random(s, &r, small, text);
    } else if (roll < 800) {
        s->kind = "newlines only";
        add_random(s, &r, small, "\n");
    } else if (roll < 950) {
        s->kind = "no newline";
        add_random(s, &r, small, letters);
    } else if (roll < 970) {
        s->kind = "long without newline";
        add_random(s, &r, below(&r, 5 * MAX_LINE + 1), letters);
    } else if (roll < 985) {
        s->kind = "lines about as long as a buffer";
        for (size_t n = 1 + below(&r, 3); n > 0; n--) {
            add_random(s, &r, edges[below(&r, 8)] - 1, letters);
            add_random(s, &r, 1, "\n");
            add_random(s, &r, below(&r, 30), text);
        }
    } else if (roll < 995) {
        s->kind = "many lines";
        add_random(s, &r, below(&r, MAX_STREAM + 1), text);
    } else {
        s->kind = "many bytes of all values";
        add_random(s, &r, below(&r, MAX_STREAM + 1), NULL);
    }

    static const size_t most_cuts[] = {0, 1, 5, MAX_CUTS};
    s->pieces = below(&r, most_cuts[below(&r, 4)] + 1);
    for (size_t i = 0; i < s->pieces; i++)
        s->cuts[i] = below(&r, s->len + 1);
    qsort(s->cuts, s->pieces, sizeof *s->cuts, compare_sizes);
    s->cuts[s->pieces++] = s->len;
    for (size_t i = 0; i < s->pieces; i++)
        s->pauses[i] = below(&r, 8) == 0 ? (int)below(&r, 2000) : 0;
    s->half_close = below(&r, 10) < 6;
    s->reset = below(&r, 2);
    s->read_size = below(&r, 4) ? 65536 : 1 + s->len / 20 + below(&r, 100);
    s->read_pause = below(&r, 8) ? 0 : (int)below(&r, 2000);
    s->narrow = s->len > 20000 && below(&r, 2);
    if (s->narrow) { // it takes a slow reader to fill what is left of the buffers
        s->read_size = 1 + s->len / 20;
        s->read_pause = 1000;
    }
}

static void
slot_wrong(struct slot *t, const char *why)
{
    t->verdict = WRONG;
    t->why = why;
}

static void
slot_begin(struct slot *t)
{
    rotate(t->expect, t->s.data, t->s.len);
    const byte *newline = t->s.len ? memrchr(t->s.data, '\n', t->s.len) : NULL;
    t->whole_lines = newline ? (size_t)(newline - t->s.data) + 1 : 0;
    t->connected = false;
    t->verdict = RUNNING;
    t->line_start = t->piece = t->got = 0;
    t->send_at = t->read_at = t->settled_at = 0;
    t->begun = t->progress = now();
    t->c.half_closed = t->early = false;
    t->c.ended = NULL;
    t->c.in.len = t->c.sent = 0;
    t->c.fd = start_connect(t->s.narrow);
    if (t->c.fd < 0)
        slot_wrong(t, strerror(errno));
}

/* Rule 2: so much may have come back, with what the kernel has taken so far. */
static size_t
allowed(const struct slot *t)
{
    bool all = t->c.half_closed || t->c.sent - t->line_start >= MAX_LINE;
    return all ? t->c.sent : t->line_start;
}

static void
slot_sends(struct slot *t, int64_t time)
{
    size_t at = t->c.sent, len = t->s.cuts[t->piece] - at;
    ssize_t n = len ? send(t->c.fd, t->s.data + at, len, 0) : 0;
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        slot_wrong(t, errno == EPIPE || errno == ECONNRESET ? "reset" : strerror(errno));
    if (n > 0) {
        const byte *newline = memrchr(t->s.data + at, '\n', (size_t)n);
        if (newline)
            t->line_start = (size_t)(newline - t->s.data) + 1;
        t->c.sent += (size_t)n;
        t->progress = time;
    }
    if (t->c.sent == t->s.cuts[t->piece] && ++t->piece < t->s.pieces)
        t->send_at = time + t->s.pauses[t->piece];
}

static void
slot_hears(struct slot *t, int64_t time)
{
    receive(&t->c, t->s.read_size);
    size_t n = t->c.in.len, most = allowed(t), same = 0;
    while (same < n && t->got < most && t->c.in.at[same] == t->expect[t->got])
        same++, t->got++;
    drop_front(&t->c.in, same);
    if (same)
        t->progress = time;
    t->read_at = time + t->s.read_pause;
    if (t->c.in.len) {
        t->early = t->got == most && most < t->s.len;
        slot_wrong(t, NULL);
    } else if (t->c.ended) {
        slot_wrong(t, t->c.ended);
    }
    if (t->c.ended && !t->c.in.len && t->c.half_closed && t->got == t->s.len &&
        strcmp(t->c.ended, "end of file") == 0)
        t->verdict = RIGHT;
}

/* Whatever is due on this connection: connected, sends a piece, hears something, ends. */
static void
slot_turn(struct slot *t, short ready, int64_t time, int settle)
{
    if (!t->connected && ready) {
        int why = connect_result(t->c.fd);
        if (why) {
            slot_wrong(t, strerror(why));
            return;
        }
        t->connected = true;
    }
    if (ready & (POLLIN | POLLERR | POLLHUP) && time >= t->read_at)
        slot_hears(t, time);
    if (t->verdict == RUNNING && ready & POLLOUT && t->piece < t->s.pieces)
        slot_sends(t, time);
    if (t->verdict == RUNNING && t->connected && t->piece == t->s.pieces) {
        if (t->s.half_close && !t->c.half_closed) {
            t->c.half_closed = true;
            if (shutdown(t->c.fd, SHUT_WR) < 0)
                slot_wrong(t, "reset");
        }
        /* Without half-close: when all lines were answered, a moment for what must not
         * come, the beginning of the unfinished rest. */
        if (!t->s.half_close && t->got >= t->whole_lines) {
            if (!t->settled_at)
                t->settled_at = time + (t->whole_lines < t->s.len ? settle : 0);
            if (time >= t->settled_at)
                t->verdict = RIGHT;
        }
    }
    if (t->verdict == RUNNING && time - t->progress > opt.patience)
        slot_wrong(t, silence());
    else if (t->verdict == RUNNING && time - t->begun > longest())
        slot_wrong(t, too_slow("coming"));
}

static void
slots_turn(struct slot **t, size_t n, int settle)
{
    struct pollfd p[n];
    int64_t time = now(), wake = time + 50000;
    for (size_t i = 0; i < n; i++) {
        p[i] = (struct pollfd){.fd = -1};
        if (t[i]->verdict != RUNNING || t[i]->c.fd < 0)
            continue;
        bool sends = t[i]->piece < t[i]->s.pieces || !t[i]->connected;
        if (sends && time >= t[i]->send_at)
            p[i].events |= POLLOUT;
        else if (sends && t[i]->send_at < wake)
            wake = t[i]->send_at;
        if (time >= t[i]->read_at)
            p[i].events |= POLLIN;
        else if (t[i]->read_at < wake)
            wake = t[i]->read_at;
        if (t[i]->settled_at && t[i]->settled_at < wake)
            wake = t[i]->settled_at;
        p[i].fd = p[i].events ? t[i]->c.fd : -1; // or a hang-up would not let us sleep
    }
    int64_t sleep = wake > time ? wake - time : 0;
    struct timespec timeout = {.tv_nsec = (long)sleep * 1000};
    if (ppoll(p, n, &timeout, NULL) < 0) {
        if (errno != EINTR)
            die(1, "poll: %s", strerror(errno));
        return;
    }
    time = now();
    for (size_t i = 0; i < n; i++)
        if (t[i]->verdict == RUNNING)
            slot_turn(t[i], p[i].revents, time, settle);
}

static void
slot_end(struct slot *t)
{
    if (t->c.fd >= 0 && t->s.reset && !t->s.half_close)
        reset(t->c.fd);
    else if (t->c.fd >= 0)
        close(t->c.fd);
    t->c.fd = -1;
}

/* The same stream once more, alone. True: it went wrong again (which it does not if
 * there is no server left). */
static bool
replay(struct slot *t)
{
    slot_begin(t);
    while (t->verdict == RUNNING)
        slots_turn(&t, 1, 30000);
    slot_end(t);
    return t->verdict == WRONG && t->connected;
}

/* Try a simpler stream; if it goes wrong too, it is the one to go on with. */
static bool
simpler(struct stream *best, const struct stream *s, struct slot *t)
{
    t->s = *s;
    if (!replay(t))
        return false;
    *best = *s;
    return true;
}

/* All simpler streams that are worth a try: with fewer cuts, with fewer bytes, with a's
 * in the place of bytes; much at once first. */
static void
shrink(struct stream *best, struct slot *t, int64_t until)
{
    struct stream *s = must(malloc(sizeof *s));
    *s = *best;
    s->cuts[0] = s->len;
    s->pieces = 1;
    simpler(best, s, t);
    if (best->narrow) {
        *s = *best;
        s->narrow = false;
        simpler(best, s, t);
    }
    for (size_t i = 0; i + 1 < best->pieces && now() < until;) {
        *s = *best;
        s->pieces--;
        memmove(s->cuts + i, s->cuts + i + 1, (s->pieces - i) * sizeof *s->cuts);
        if (!simpler(best, s, t))
            i++;
    }
    for (size_t size = best->len; size > 0 && now() < until; size /= 2) {
        for (size_t at = 0; at + size <= best->len && now() < until;) {
            *s = *best;
            s->len -= size;
            memmove(s->data + at, s->data + at + size, s->len - at);
            for (size_t i = 0; i < s->pieces; i++)
                s->cuts[i] -= s->cuts[i] > at ? least(size, s->cuts[i] - at) : 0;
            bool again =
                at >= size && memcmp(best->data + at - size, best->data + at, size) == 0;
            if (again || !simpler(best, s, t)) // again: the same as just tried
                at += size;
        }
        for (size_t at = 0; at < best->len && now() < until; at += size) {
            *s = *best;
            for (size_t i = at; i < least(at + size, s->len); i++)
                if (s->data[i] != '\n')
                    s->data[i] = 'a';
            if (memcmp(s->data, best->data, s->len) != 0)
                simpler(best, s, t);
        }
    }
    free(s);
}

/* 'A sends ...' steps, long runs of one byte as "N times". */
static void
print_steps(const char *verb, const byte *at, size_t len)
{
    for (size_t i = 0, start = 0; i < len; start = i) {
        size_t run = 0;
        for (; i < len && run < 20; i++)
            run = i > start && at[i] == at[i - 1] ? run + 1 : 0;
        size_t end = run < 20 ? i : i - run - 1;
        if (end > start) {
            printf(" 'A %s ", verb);
            show(stdout, at + start, end - start);
            putchar('\'');
        }
        if (run < 20)
            return;
        while (i < len && at[i] == at[end])
            i++;
        printf(" 'A %s %zu times ", verb, i - end);
        show(stdout, at + end, 1);
        putchar('\'');
    }
}

static void
print_scene(const struct slot *t)
{
    size_t changes = 0;
    for (size_t i = 1; i < t->s.len; i++)
        changes += t->s.data[i] != t->s.data[i - 1];
    if (t->s.narrow || changes > 1000) {
        printf("%s; 'fuzz --seed %lld --only %llu' replays the whole of it\n",
               t->s.narrow ? "it takes a client with small buffers" : "too long to type",
               (long long)opt.seed, (unsigned long long)t->s.index);
        return;
    }
    printf("rot13-client scene -p %ld -a %s 'A connects'", (long)opt.port, opt.address);
    for (size_t i = 0, at = 0; i < t->s.pieces; at = t->s.cuts[i++])
        print_steps("sends", t->s.data + at, t->s.cuts[i] - at);
    if (t->s.half_close)
        printf(" 'A half-closes'");
    print_steps("hears", t->expect, t->s.half_close ? t->s.len : t->whole_lines);
    puts(t->s.half_close                        ? " 'A hears the end'"
         : t->s.len - t->whole_lines < MAX_LINE ? " 'A hears nothing'"
                                                : "");
}

static void
keep(const struct stream *s, const char *suffix)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/rot13-fuzz-%lld-%llu.%s", opt.keep,
             (long long)opt.seed, (unsigned long long)s->index, suffix);
    FILE *f = fopen(path, "wb");
    bool cuts = strcmp(suffix, "cuts") == 0;
    for (size_t i = 0; f && cuts && i < s->pieces; i++)
        fprintf(f, "%zu\n", s->cuts[i]);
    if (!f || (!cuts && fwrite(s->data, 1, s->len, f) != s->len) || fclose(f) != 0)
        die(1, "%s: %s", path, strerror(errno));
    printf("kept: %s (%zu byte%s in %zu piece%s)\n", path, s->len, plural(s->len),
           s->pieces, plural(s->pieces));
}

static void
slot_report(struct slot *t)
{
    char step[200];
    snprintf(step, sizeof step, "stream %llu of seed %lld: %s, %zu piece%s, %s",
             (unsigned long long)t->s.index, (long long)opt.seed, t->s.kind, t->s.pieces,
             plural(t->s.pieces),
             t->s.half_close ? "half-close" : "reads the lines' answers and leaves");
    t->c.step = step;
    size_t sent = t->c.sent;
    t->c.sent = 0;
    note_sent(&t->c, t->s.data, sent);
    size_t len = t->s.half_close ? t->s.len : t->whole_lines;
    const char *words = NULL;
    if (t->early)
        words = "nothing of a line before its newline has been sent";
    else if (t->got >= len)
        words = t->s.half_close ? "end of file" : "an open connection";
    report(&t->c, t->expect, len, t->got, words, t->why);
}

static int
difference(struct slot *t)
{
    slot_end(t);
    slot_report(t);
    keep(&t->s, "in");
    keep(&t->s, "cuts");
    struct stream *best = must(malloc(sizeof *best));
    if (t->early) {
        /* Too early: what was sent until then is all that it takes. */
        t->s.half_close = false;
        t->s.len = t->c.sent;
        t->s.pieces = least(t->piece + 1, t->s.pieces);
        for (size_t i = 0; i < t->s.pieces; i++)
            t->s.cuts[i] = least(t->s.cuts[i], t->s.len);
        t->s.cuts[t->s.pieces - 1] = t->s.len;
    }
    *best = t->s;
    int64_t patience = opt.patience;
    opt.patience = SECOND / 4 < patience ? SECOND / 4 : patience;
    bool again = false;
    for (int tries = 0; tries < 3 && !again; tries++)
        again = replay(t);
    if (again)
        shrink(best, t, now() + 10 * SECOND);
    opt.patience = patience;
    t->s = *best;
    if (!again && !t->connected)
        puts("now the server accepts no connection any more; has it ended?");
    else if (again && replay(t)) { // with the whole patience
        keep(&t->s, "min");
        puts("the smallest that is wrong too:");
        slot_report(t);
        print_scene(t);
    } else
        printf("alone it is not wrong again; run all once more with SEED=%lld\n",
               (long long)opt.seed);
    free(best);
    return 1;
}

static void
interrupt(int signal_nr)
{
    (void)signal_nr;
    interrupted = 1;
}

static int
do_fuzz(void)
{
    uint64_t index = opt.only >= 0 ? (uint64_t)opt.only : 0, done = 0, sent = 0;
    uint64_t end = opt.only >= 0     ? index + 1
                   : opt.streams > 0 ? (uint64_t)opt.streams
                                     : UINT64_MAX;
    size_t n = (size_t)opt.connections;
    int64_t shown = now();
    int status = 0;
    struct slot **slots = must(calloc(n, sizeof *slots));
    for (size_t i = 0; i < n; i++) {
        slots[i] = must(calloc(1, sizeof **slots));
        slots[i]->c.fd = -1;
        slots[i]->verdict = RIGHT;
    }
    sigaction(SIGINT, &(struct sigaction){.sa_handler = interrupt}, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0); // a report goes to stderr in between
    printf("seed %lld\n", (long long)opt.seed);
    for (size_t busy = 1; busy > 0 && !interrupted;) {
        busy = 0;
        for (size_t i = 0; i < n; i++) {
            struct slot *t = slots[i];
            if (t->c.fd < 0 && index < end) {
                make_stream(&t->s, (uint64_t)opt.seed, index++);
                slot_begin(t);
            }
            busy += t->c.fd >= 0;
        }
        slots_turn(slots, n, 1000);
        if (interrupted) // Ctrl-C has gone to the server, too
            break;
        for (size_t i = 0; i < n; i++) {
            struct slot *t = slots[i];
            if (t->verdict == WRONG) {
                for (size_t k = 0; k < n; k++)
                    if (k != i)
                        slot_end(slots[k]);
                status = difference(t);
                goto out;
            }
            if (t->verdict == RIGHT && t->c.fd >= 0) {
                done++;
                sent += t->s.len;
                slot_end(t);
            }
        }
        if (isatty(STDERR_FILENO) && now() - shown > SECOND / 2) {
            shown = now();
            fprintf(stderr, "\r%llu streams ", (unsigned long long)done);
        }
    }
    if (isatty(STDERR_FILENO))
        fputc('\r', stderr);
    printf("%llu streams, %llu bytes, seed %lld: no difference\n",
           (unsigned long long)done, (unsigned long long)sent, (long long)opt.seed);
out:
    for (size_t i = 0; i < n; i++) {
        slot_end(slots[i]);
        free(slots[i]->c.in.at);
        free(slots[i]);
    }
    free(slots);
    return status;
}

/* ---- wait and free: is somebody there ------------------------------------------ */

static int
do_wait(double seconds)
{
    int64_t until = now() + (int64_t)(seconds * SECOND);
    int why = ECONNREFUSED;
    while (now() < until) {
        struct sockaddr_storage me = {0};
        socklen_t len = sizeof me;
        int fd = start_connect(false);
        why = fd < 0                         ? errno
              : wait_for(fd, POLLOUT, until) ? connect_result(fd)
                                             : ETIMEDOUT;
        /* With nobody there, a connect that happens to come from the very port that it
         * goes to connects to itself. */
        if (!why && getsockname(fd, (struct sockaddr *)&me, &len) == 0 &&
            memcmp(&me, &opt.to, len) == 0)
            why = ECONNREFUSED;
        if (fd >= 0)
            close(fd);
        if (!why)
            return 0;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    die(1, "%s:%ld: nothing accepted in %g s: %s", opt.address, (long)opt.port, seconds,
        strerror(why));
}

static int
do_free(void)
{
    int fd = socket(opt.to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(fd, (struct sockaddr *)&opt.to, opt.to_len) < 0 || listen(fd, 1) < 0)
        die(1, "%s:%ld is not free: %s%s", opt.address, (long)opt.port, strerror(errno),
            errno == EADDRINUSE ? "; end what listens there (ss -ltnp shows it)" : "");
    close(fd);
    return 0;
}

/* ---- guard: run a server and leave nothing of it behind -------------------------- */

struct process {
    pid_t pid, parent;
    bool ours;
    char name[32];
};

/* All living descendants of this process; zombies do not count. */
static size_t
descendants(struct process **found)
{
    struct process *all = NULL;
    size_t n = 0, ours = 0;
    DIR *proc = opendir("/proc");
    if (!proc)
        die(1, "/proc: %s", strerror(errno));
    for (struct dirent *entry; (entry = readdir(proc));) {
        char path[300], stat[200], state = 0;
        struct process p = {.pid = (pid_t)strtol(entry->d_name, NULL, 10)};
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        FILE *f = p.pid > 0 ? fopen(path, "r") : NULL;
        if (!f)
            continue;
        stat[fread(stat, 1, sizeof stat - 1, f)] = '\0';
        fclose(f);
        // The name stands in parentheses and may hold some itself.
        char *name = strchr(stat, '('), *end = strrchr(stat, ')');
        if (name && end && sscanf(end + 1, " %c %d", &state, &p.parent) == 2 &&
            state != 'Z' && state != 'X') {
            snprintf(p.name, sizeof p.name, "%.*s", (int)(end - name - 1), name + 1);
            if (n % 64 == 0)
                all = must(realloc(all, (n + 64) * sizeof *all));
            all[n++] = p;
        }
    }
    closedir(proc);

    bool more = true; // a child may stand before its parent: until no more are found
    while (more) {
        more = false;
        for (size_t i = ours; i < n; i++) {
            bool child = all[i].parent == getpid();
            for (size_t k = 0; k < ours && !child; k++)
                child = all[i].parent == all[k].pid;
            if (child) {
                struct process p = all[i];
                all[i] = all[ours];
                all[ours++] = p;
                more = true;
            }
        }
    }
    *found = all;
    return ours;
}

/* What the command writes to its stdout or stderr, on its way to ours. */
struct relay {
    int from, to;
    size_t left; // so many bytes are passed on yet, the rest is thrown away
};
static struct relay relays[] = {{.from = -1}, {.from = -1}};

/* False: nothing is there now. */
static bool
pass_on(struct relay *r)
{
    byte buf[65536];
    ssize_t n = r->from < 0 ? -1 : read(r->from, buf, sizeof buf);
    if (n <= 0) {
        if (n == 0) {
            close(r->from);
            r->from = -1;
        }
        return false;
    }
    size_t len = least((size_t)n, r->left);
    r->left -= len;
    for (size_t done = 0; done < len;) {
        ssize_t written = write(r->to, buf + done, len - done);
        if (written < 0)
            break;
        done += (size_t)written;
    }
    return true;
}

/* Waits for one of the signals, so long at most, and passes on output meanwhile. */
static int
next_signal(int signals, int64_t wait)
{
    for (int64_t until = now() + wait, left = wait; left > 0; left = until - now()) {
        struct pollfd p[] = {{.fd = signals, .events = POLLIN},
                             {.fd = relays[0].from, .events = POLLIN},
                             {.fd = relays[1].from, .events = POLLIN}};
        poll(p, 3, (int)((left + 999) / 1000));
        for (int i = 0; i < 2; i++)
            if (p[i + 1].revents)
                pass_on(&relays[i]);
        struct signalfd_siginfo info;
        if (p[0].revents && read(signals, &info, sizeof info) == sizeof info)
            return (int)info.ssi_signo;
    }
    return 0;
}

/*
 * A command that has ended well and left something running has put its server into
 * the background. Says so, waits until it ends or a signal comes, and passes SIGTERM
 * on to all of it.
 */
static void
guard_background(int signals)
{
    bool said = false;
    next_signal(-1, SECOND / 10);
    while (waitpid(-1, NULL, WNOHANG) >= 0) {
        struct process *p;
        size_t n = descendants(&p);
        if (n > 0 && !said)
            fprintf(stderr, "guard: in the background: %d %s\n", p[0].pid, p[0].name);
        said = true;
        int signal_nr = next_signal(signals, SECOND / 20);
        bool told = signal_nr == SIGTERM || signal_nr == SIGINT;
        for (size_t i = 0; i < n && told; i++)
            kill(p[i].pid, SIGTERM);
        free(p);
        if (told)
            return;
    }
}

static int
do_guard(char **command)
{
    sigset_t watched, before;
    sigemptyset(&watched);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGCHLD);
    sigprocmask(SIG_BLOCK, &watched, &before);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) // orphans below become our children
        die(1, "PR_SET_CHILD_SUBREAPER: %s", strerror(errno));
    int signals = signalfd(-1, &watched, SFD_CLOEXEC), out[2], err[2];
    if (signals < 0)
        die(1, "signalfd: %s", strerror(errno));
    bool relayed = opt.first >= 0;
    if (relayed) {
        if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 ||
            fcntl(out[0], F_SETFL, O_NONBLOCK) < 0 ||
            fcntl(err[0], F_SETFL, O_NONBLOCK) < 0)
            die(1, "pipe: %s", strerror(errno));
        relays[0] = (struct relay){out[0], STDOUT_FILENO, (size_t)opt.first};
        relays[1] = (struct relay){err[0], STDERR_FILENO, (size_t)opt.first};
    }
    pid_t me = getpid(), child = fork();
    if (child < 0)
        die(1, "fork: %s", strerror(errno));
    if (child == 0) {
        if (relayed &&
            (dup2(out[1], STDOUT_FILENO) < 0 || dup2(err[1], STDERR_FILENO) < 0))
            _exit(1);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != me)
            _exit(1);             // the guard was gone already
        signal(SIGPIPE, SIG_DFL); // a shell may have set them to be ignored
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        execvp(command[0], command);
        die(127, "%s: %s", command[0], strerror(errno));
    }

    if (relayed) {
        close(out[1]);
        close(err[1]);
    }

    int status = -1, result;
    int64_t deadline = 0;
    while (status < 0 && (!deadline || now() < deadline)) {
        int signal_nr = next_signal(signals, SECOND / 20);
        if (signal_nr == SIGTERM || signal_nr == SIGINT) {
            kill(child, signal_nr);
            if (!deadline)
                deadline = now() + opt.kill_after;
        }
        for (pid_t pid; (pid = waitpid(-1, &result, WNOHANG)) > 0;)
            if (pid == child)
                status = result;
    }

    if (status == 0 && !deadline)
        guard_background(signals);

    /* Those who were told to go just now are given a moment before they are named. */
    bool by_itself = status >= 0;
    int64_t name_at = now() + SECOND / 10, give_up = now() + 10 * SECOND;
    for (bool named = !by_itself;;) {
        struct process *p;
        pid_t reaped;
        while ((reaped = waitpid(-1, &result, WNOHANG)) > 0)
            ;
        if (reaped < 0 || now() > give_up) // no child is left, so no descendant is
            break;
        bool name_them = !named && now() > name_at;
        size_t n = descendants(&p);
        for (size_t i = 0; i < n && name_them; i++)
            fprintf(stderr, "guard: left behind: %d %s\n", p[i].pid, p[i].name);
        named = named || name_them;
        for (size_t i = 0; i < n && named; i++)
            kill(p[i].pid, SIGKILL);
        free(p);
        next_signal(-1, 2000);
    }
    for (int i = 0; i < 2; i++)
        while (pass_on(&relays[i]))
            ;
    if (!by_itself)
        return 124;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- the command line ----------------------------------------------------------- */

static const char help[] =
    "Usage: rot13-client COMMAND [OPTION...] [ARGUMENT...]\n"
    "Puts a ROT13 server to the test from outside.\n"
    "  -p PORT     its port, 40713          -a ADDRESS  its address, 127.0.0.1\n"
    "  -t SECONDS  how long to wait for what must come, 5\n"
    "Exit status: 0 as expected, 1 not as expected (then a report on stderr), 2 bad "
    "usage.\n"
    "\n"
    "scene [-v] [-q MS] STEP...    a little play; each argument is one step:\n"
    "    A connects                 A half-closes    A closes    A resets\n"
    "    A connects narrowly        with small buffers: replies soon have to wait\n"
    "    A sends TEXT               A hears TEXT     exactly this comes next\n"
    "    A sends N times TEXT       A hears N times TEXT\n"
    "    A sends file PATH          A hears file PATH\n"
    "    A sends urgently TEXT      A hears nothing  for -q milliseconds, 200\n"
    "    A sends until stuck        A hears all of it\n"
    "                               A hears the end  end of file, no reset\n"
    "    A is turned away           end of file or reset comes next\n"
    "    A listens on PORT          then, for a program that connects: A accepts\n"
    "  A is any word. In TEXT: \\n \\r \\t \\0 \\\\ \\xHH. -v shows each step and its "
    "time.\n"
    "    rot13-client scene 'A connects' 'A sends Hello\\n' 'A hears Uryyb\\n' \\\n"
    "        'A sends no newline' 'A hears nothing' 'A half-closes' \\\n"
    "        'A hears ab arjyvar' 'A hears the end'\n"
    "crowd N [-i] [--hold] [--at-least M]    N connections at once, a line each, twice\n"
    "    -i: only one speaks. --hold: prints \"holding N\", keeps all open until stdin\n"
    "    ends, and lets all speak again. --at-least M: the others may wait unanswered.\n"
    "    rot13-client crowd 10000\n"
    "churn N                       N times connect, ask, leave, not always politely\n"
    "flood SECONDS [-n CLIENTS] [--unread]   the longest wait of an ordinary client\n"
    "    while others send all they can, and read or do not read the answers\n"
    "    rot13-client flood 3 -n 4 --unread\n"
    "fuzz [--seed N] [--streams N] [--only INDEX] [-c CONNECTIONS] [--keep DIR]\n"
    "    random streams, cut at random. --streams 0: until Ctrl-C. --only replays one.\n"
    "    rot13-client fuzz --seed 7 --only 4711\n"
    "oracle                        filters stdin to stdout: what fuzz expects\n"
    "wait [SECONDS]                until the port accepts a connection\n"
    "free                          is the port free to listen on?\n"
    "guard [-k MS] [--first BYTES] -- COMMAND...   runs COMMAND, passes on SIGTERM and\n"
    "    SIGINT, and kills all that is left of it when it has ended, or MS (2000) after "
    "the\n"
    "    signal (then exit status 124). --first: of what it prints, to stdout and to "
    "stderr,\n"
    "    so much is passed on, and the rest thrown away.\n"
    "    rot13-client guard -- ./my-server\n";

static double
number(const char *what, const char *text, double lowest, double highest)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= lowest && value <= highest))
        die(2, "%s: '%s' is not a number from %.0f to %.0f", what, text, lowest, highest);
    return value;
}

static void
resolve(void)
{
    char port[20];
    struct addrinfo *found,
        hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    snprintf(port, sizeof port, "%ld", (long)opt.port);
    if (getaddrinfo(opt.address, port, &hints, &found) != 0)
        die(2, "-a: '%s' is not an IPv4 or IPv6 address", opt.address);
    memcpy(&opt.to, found->ai_addr, found->ai_addrlen);
    opt.to_len = found->ai_addrlen;
    freeaddrinfo(found);
}

static int
do_oracle(void)
{
    byte buf[65536];
    for (size_t n; (n = fread(buf, 1, sizeof buf, stdin)) > 0;) {
        rotate(buf, buf, n);
        fwrite(buf, 1, n, stdout);
    }
    if (ferror(stdin) || fflush(stdout) != 0)
        die(1, "%s", strerror(errno));
    return 0;
}

static const struct {
    int letter;
    const char *name;
    int64_t *value;
    double unit; // 0: a flag
    double lowest, highest;
} options[] = {
    {'p', "port", &opt.port, 1, 1, 65535},
    {'t', "patience", &opt.patience, SECOND, 0, 3600},
    {'q', "quiet", &opt.quiet, 1000, 0, 1e6},
    {'v', "verbose", &opt.verbose, 0, 0, 0},
    {'i', "idle", &opt.idle, 0, 0, 0},
    {'H', "hold", &opt.hold, 0, 0, 0},
    {'M', "at-least", &opt.at_least, 1, 1, 1e6},
    {'n', "clients", &opt.clients, 1, 1, 1000},
    {'u', "unread", &opt.unread, 0, 0, 0},
    {'S', "seed", &opt.seed, 1, 0, 9e15},
    {'N', "streams", &opt.streams, 1, 0, 9e15},
    {'O', "only", &opt.only, 1, 0, 9e15},
    {'c', "connections", &opt.connections, 1, 1, 1000},
    {'k', "kill-after", &opt.kill_after, 1000, 0, 1e6},
    {'F', "first", &opt.first, 1, 0, 1e9},
};
#define OPTIONS (sizeof options / sizeof *options)

static void
read_options(int argc, char **argv)
{
    struct option names[OPTIONS + 4] = {{"help", no_argument, NULL, 'h'},
                                        {"address", required_argument, NULL, 'a'},
                                        {"keep", required_argument, NULL, 'K'}};
    for (size_t i = 0; i < OPTIONS; i++)
        names[i + 3] = (struct option){options[i].name, options[i].unit > 0, NULL,
                                       options[i].letter};
    for (int o; (o = getopt_long(argc, argv, "p:a:t:q:vin:c:k:h", names, NULL)) != -1;) {
        if (o == 'h') {
            fputs(help, stdout);
            exit(0);
        }
        if (o == '?') // getopt has said what is wrong
            exit(2);
        if (o == 'a')
            opt.address = optarg;
        if (o == 'K')
            opt.keep = optarg;
        for (size_t i = 0; i < OPTIONS; i++)
            if (options[i].letter == o)
                *options[i].value =
                    options[i].unit > 0
                        ? (int64_t)(options[i].unit * number(options[i].name, optarg,
                                                             options[i].lowest,
                                                             options[i].highest))
                        : 1;
    }
}

int
main(int argc, char **argv)
{
    opt.seed = (int64_t)time(NULL) * 1000 + now() % 1000;
    read_options(argc, argv);
    resolve();
    make_oracle();
    make_lines();

    int left = argc - optind - 1;
    const char *command = left < 0 ? "" : argv[optind];
    char **args = argv + optind + 1;
    if (strcmp(command, "guard") == 0 && left > 0)
        return do_guard(args);
    signal(SIGPIPE, SIG_IGN); // a send to one who has gone is an error, not our end
    if (strcmp(command, "scene") == 0 && left > 0)
        return do_scene(left, args);
    if (strcmp(command, "crowd") == 0 && left == 1)
        return do_crowd((long)number("crowd", args[0], 1, 1e6));
    if (strcmp(command, "churn") == 0 && left == 1)
        return do_churn((long)number("churn", args[0], 1, 1e9));
    if (strcmp(command, "flood") == 0 && left == 1)
        return do_flood((long)number("flood", args[0], 1, 3600));
    if (strcmp(command, "wait") == 0 && left <= 1)
        return do_wait(left ? number("wait", args[0], 0, 3600) : 5);
    if (strcmp(command, "fuzz") == 0 && left == 0)
        return do_fuzz();
    if (strcmp(command, "oracle") == 0 && left == 0)
        return do_oracle();
    if (strcmp(command, "free") == 0 && left == 0)
        return do_free();
    die(2,
        *command ? "%s: no such command, or not with these arguments; see --help"
                 : "%swhich command? see --help",
        command);
}
