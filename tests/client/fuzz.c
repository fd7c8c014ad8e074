/* rot13-client fuzz: random streams, randomly cut, against the oracle. */
#define _GNU_SOURCE

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "client.h"

#define MAX_STREAM 200000
#define MAX_CUTS   40

static volatile sig_atomic_t interrupted;

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
    bool all = opt.any_time || t->c.half_closed || t->c.sent - t->line_start >= MAX_LINE;
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
    printf("tests/rot13-client scene -p %ld -a %s 'A connects'", (long)opt.port,
           opt.address);
    for (size_t i = 0, at = 0; i < t->s.pieces; at = t->s.cuts[i++])
        print_steps("sends", t->s.data + at, t->s.cuts[i] - at);
    if (t->s.half_close)
        printf(" 'A half-closes'");
    print_steps("hears", t->expect, t->s.half_close ? t->s.len : t->whole_lines);
    bool may_hear_more = opt.any_time || t->s.len - t->whole_lines >= MAX_LINE;
    puts(t->s.half_close ? " 'A hears the end'"
         : may_hear_more ? ""
                         : " 'A hears nothing'");
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

int
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
