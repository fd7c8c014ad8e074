/*
 * rot13-client crowd, churn and flood: many clients at once; many one after the other;
 * and one who waits for an answer while others send all they can.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client.h"

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

int
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
        if (m[i].turned_away)
            reset(m[i].fd); // see leave()
        else if (m[i].fd > 0)
            close(m[i].fd);
    free(m);
    if (answered < opt.at_least)
        die(1, "%ld answered, and %ld were to be", answered, (long)opt.at_least);
    return 0;
}

/* ---- churn: many connections, one after the other ------------------------------ */

int
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
        leave(c);
    }
}

int
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
    leave(&c);
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
