/*
 * rot13-load: drives a ROT13 line server, compares every byte that comes back, and
 * says how fast it was and what it cost the server.  --help tells the rest.
 *
 * One thread and one epoll loop: it uses at most one core and leaves the others to
 * the server.  It is made to be cheap itself.  All lines are made once, into a ring,
 * and beside it lies the ring of the right answers: to send is to point into the one,
 * to check is a memcmp() with the other, and a connection is no more than two
 * positions.
 *
 * Linux only: epoll, /proc, prctl.
 */
#define _GNU_SOURCE
#include "measure.h"
#include "rot13.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECOND      1000000000ULL   /* all times are in nanoseconds */
#define RING        (256UL * 1024)  /* both rings stay in the second cache */
#define MAX_LENGTH  (1024UL * 1024) /* 64 MAX_LINE, to see a server cope with them */
#define RECV_SIZE   (256UL * 1024)  /* one recv() takes what there is */
#define SEND_SIZE   (64UL * 1024)   /* and one send() leaves the server time to answer */
#define PATIENCE    (5 * SECOND)    /* no byte for so long: the server is stuck */
#define PER_ADDRESS 20000           /* connections from one source address */
#define SPIN        (100 * 1000ULL) /* too short a time for sleeping until then */

static const char help[] =
    "Usage: rot13-load [OPTION]... MODE [PORT [ADDRESS]]\n"
    "\n"
    "Drives a ROT13 line server at ADDRESS (127.0.0.1), PORT (40713), compares every\n"
    "byte that comes back, and says how fast it was and what it cost the server.\n"
    "\n"
    "MODE\n"
    "  rtt    each active connection sends a line, waits for its answer, and again\n"
    "  bulk   each active connection streams lines as fast as they are taken\n"
    "  churn  connect, send a line, wait for its answer, close, and again\n"
    "\n"
    "The load\n"
    "  -a, --active N      connections that work at the same time (1); with rtt, 0 is\n"
    "                      allowed: what does a server cost when nobody speaks?\n"
    "  -i, --idle N        connections beside them that only sit there (0)\n"
    "  -l, --length BYTES  of a line, its newline counted (64)\n"
    "  -d, --duration SEC  how long it is measured (5)\n"
    "  -w, --warmup SEC    how long it runs before that (0.5)\n"
    "  -r, --rate N        rtt only: N lines a second over all connections, sent when\n"
    "                      they are due, however slow the server is (an open loop)\n"
    "  -c, --cpu N         stay on processor N. Two servers that differ by a few\n"
    "                      percent can be told apart only when load and server stay\n"
    "                      where they are: --cpu 1 --server 'taskset -c 0 ...'\n"
    "\n"
    "The server\n"
    "  -s, --server CMD    start it, wait for its port, measure it, stop it (SIGTERM;\n"
    "                      SIGKILL after 2 seconds). CMD is a command of the shell\n"
    "                      that stays in the foreground; for a variable, write\n"
    "                      'env NAME=VALUE ./server'\n"
    "  -p, --pid PID       it runs already: measure this process and its descendants\n"
    "      --syscalls      then count its system calls, in a second run of at most a\n"
    "                      second, because counting slows it down\n"
    "\n"
    "The report\n"
    "  -n, --name NAME     call the server so (what --server runs, or the address)\n"
    "      --csv           a line of comma-separated values\n"
    "      --csv-header    the same, below a line with the names of the columns\n"
    "  -h, --help          this\n"
    "\n"
    "What is reported\n"
    "  lines/s and MB/s    what came back, right, while it was measured (10^6 bytes)\n"
    "  latency             from when a line was sent (churn: from the connect) to its\n"
    "                      last byte: half of the lines took no longer than p50, 99\n"
    "                      of a hundred no longer than p99 (within 0.4 %). Without\n"
    "                      --rate, the closed loop, a server that stops for a while\n"
    "                      makes the load wait too: one line was slow where there\n"
    "                      would have been a thousand. With --rate it counts from\n"
    "                      when the line was due, not from when it could be sent\n"
    "  CPU                 processor time of the server and all its descendants, in\n"
    "                      percent of one core and for each line; those that ended\n"
    "                      included if it waited for them (churn: else not known)\n"
    "  calls/line          system calls: perf's tracepoint where we may use it\n"
    "                      (root), else strace, which slows the server down so much\n"
    "                      that one that polls looks better than it is\n"
    "  KiB/connection      what the processes grew by since before the connections\n"
    "                      (a page shared by n counts 1/n); the kernel's part, the\n"
    "                      buffers of sockets, is not in it\n"
    "  load                our own processor time; when that fills a core and the\n"
    "                      server's does not, it may be faster than we can ask, and\n"
    "                      the report says so\n"
    "  not answered        we wait 5 seconds for the last answers, and for no more\n"
    "\n"
    "Exit status: 0 measured, 1 a wrong byte or a server that failed, 2 bad usage.\n"
    "\n"
    "Examples\n"
    "  bench/rot13-load -s 02-fork-server/fork-server -a 100 --syscalls rtt\n"
    "  bench/rot13-load -s 05-libevent-events/libevent-events -a 10 -i 9000 rtt\n"
    "  bench/rot13-load -s 03-nonblocking-poll/nonblocking-poll -a 0 -i 100 rtt\n"
    "  bench/rot13-load -s 06-bufferevents/bufferevents bulk\n"
    "  bench/rot13-load -s 04-select-server/select-server -a 100 -r 20000 rtt\n"
    "  bench/rot13-load --csv-header -a 4 churn 40713 ::1     (what listens there)\n";

enum mode { RTT, BULK, CHURN };
static const char *const mode_names[] = {"rtt", "bulk", "churn"};

static struct {
    enum mode mode;
    long active, idle, length, cpu;
    double duration, warmup, rate;
    const char *server, *name, *port, *address;
    pid_t pid;
    int syscalls, csv, csv_header;
} opt = {.active = 1,
         .length = 64,
         .cpu = -1,
         .duration = 5,
         .warmup = 0.5,
         .port = "40713",
         .address = "127.0.0.1"};

static struct sockaddr_storage server_addr;
static socklen_t server_len;
static char where[80]; /* ADDRESS:PORT, for the messages */

static pid_t server;       /* the process that is measured, 0 when we know of none */
static int server_is_ours; /* it is our child, and we have to stop it */
static int on_terminal;    /* there is a progress line to write over */

static volatile sig_atomic_t interrupted; /* the signal that told us to stop */

static uint64_t
now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail, with this clock */
    return (uint64_t)ts.tv_sec * SECOND + (uint64_t)ts.tv_nsec;
}

static void
pause_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* ------------------------------------------------------------ starting, ending */

static void stop_server(void);

static void
clear_progress(void)
{
    if (on_terminal)
        fprintf(stderr, "\r\033[K");
}

/* A run that failed: one line says why, and nothing stays behind. */
static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
    va_list ap;
    clear_progress();
    fprintf(stderr, "rot13-load: ");
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    stop_server();
    exit(1);
}

static void __attribute__((noreturn, format(printf, 1, 2)))
bad_usage(const char *format, ...)
{
    va_list ap;
    fprintf(stderr, "rot13-load: ");
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fprintf(stderr, "; usage: rot13-load [OPTION]... rtt|bulk|churn [PORT [ADDRESS]], "
                    "more with --help\n");
    exit(2);
}

static void
on_signal(int number)
{
    interrupted = number;
}

/* Called wherever we wait, so that an interrupted run stops its server and is gone. */
static void
check_interrupted(void)
{
    if (!interrupted)
        return;
    clear_progress();
    stop_server();
    signal(interrupted, SIG_DFL);
    raise(interrupted);
}

/*
 * Buries the dead for at most LIMIT nanoseconds; returns 1 when all are.  Whoever has
 * lost a parent below us becomes our child, see start_server(), so that there is nobody
 * left when we have no child.  When the server itself has ended, it is SIGTERM's turn
 * for those that it left running.
 */
static int
bury(uint64_t limit)
{
    for (uint64_t end = now_ns() + limit; now_ns() < end; pause_ms(2)) {
        pid_t pid;
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            if (pid == server)
                signal_descendants(SIGTERM);
        if (pid < 0)
            return 1;
    }
    return 0;
}

/* More than once: a process may have forked just before it was its turn. */
static void
kill_all(void)
{
    do
        signal_descendants(SIGKILL);
    while (!bury(SECOND / 20));
}

/* Our child is to be gone, and all that descend from it, wherever they went. */
static void
stop_server(void)
{
    if (!server_is_ours)
        return;
    server_is_ours = 0;
    kill(server, SIGTERM);
    if (bury(2 * SECOND))
        return;
    kill_all();
    fprintf(stderr, "rot13-load: %s did not end within 2 seconds of SIGTERM; killed it\n",
            opt.name);
}

/* The server ended by itself?  Then that, and not a lost connection, is the news. */
static void
check_server(void)
{
    int status;
    if (!server_is_ours || waitpid(server, &status, WNOHANG) != server)
        return;
    server_is_ours = 0;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ; /* the dead are not what it has left */
    int left = signal_descendants(SIGTERM);
    if (!bury(SECOND / 2))
        kill_all();
    if (left > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        die("the server, %s, has ended, and has left a process in the background: to be"
            " measured, it has to stay in the foreground",
            opt.name);
    if (WIFSIGNALED(status))
        die("the server, %s, was ended by signal %d (%s)", opt.name, WTERMSIG(status),
            strsignal(WTERMSIG(status)));
    die("the server, %s, ended with exit status %d", opt.name, WEXITSTATUS(status));
}

static void
resolve(void)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *ai;
    int error = getaddrinfo(opt.address, opt.port, &hints, &ai);
    if (error != 0)
        bad_usage("%s port %s: %s", opt.address, opt.port, gai_strerror(error));
    memcpy(&server_addr, ai->ai_addr, ai->ai_addrlen);
    server_len = ai->ai_addrlen;
    snprintf(where, sizeof(where), ai->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s",
             opt.address, opt.port);
    freeaddrinfo(ai);
}

/* One line on a connection of its own, waiting for the answer.  Servers take their
 * connections in order: when this one is answered, those before are taken. */
static int
probe(void)
{
    struct timeval patience = {.tv_sec = PATIENCE / SECOND};
    int fd = socket(server_addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    char buf[6] = "";
    int result = -1;
    if (connect(fd, (struct sockaddr *)&server_addr, server_len) == 0 &&
        send(fd, "Hello\n", 6, MSG_NOSIGNAL) == 6) {
        ssize_t n = recv(fd, buf, sizeof(buf), MSG_WAITALL);
        if (n == 6 && memcmp(buf, "Uryyb\n", 6) == 0)
            result = 0;
        else if (n >= 0)
            errno = n == 0 ? ECONNRESET : EBADMSG;
    }
    int error = errno;
    close(fd);
    errno = error;
    check_interrupted();
    return result;
}

static uint64_t probes; /* lines that this program sent beside the load itself */

static void
probe_or_die(long connections)
{
    if (probe() < 0) {
        int error = errno;
        pause_ms(50);
        check_server();
        if (error == EAGAIN || error == EINPROGRESS)
            die("%s: with %ld connections open, a new one is not served for %d seconds:"
                " is that the server's limit?",
                where, connections, (int)(PATIENCE / SECOND));
        if (error == EBADMSG)
            die("%s: the answer to \"Hello\" is not \"Uryyb\"", where);
        if (error == ECONNREFUSED)
            die("%s: %s: start a server there, or let --server start one", where,
                strerror(error));
        die("%s: %s", where, strerror(error));
    }
    ++probes;
}

static int
answers(void)
{
    int fd = socket(server_addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int yes = fd >= 0 && connect(fd, (struct sockaddr *)&server_addr, server_len) == 0;
    if (fd >= 0)
        close(fd);
    return yes;
}

static void
start_server(void)
{
    if (answers())
        die("%s is taken, something listens there already: end it"
            " (ss -ltnp shows what it is), or choose another port",
            where);
    /* Below us, who loses a parent becomes our child: nobody escapes stop_server(). */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        die("PR_SET_CHILD_SUBREAPER: %s", strerror(errno));
    char *command;
    if (asprintf(&command, "exec %s", opt.server) < 0)
        die("out of memory");
    pid_t parent = getpid();
    server = fork();
    if (server < 0)
        die("fork: %s", strerror(errno));
    if (server == 0) {
        /* Whatever happens to us, it does not stay behind. */
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
            _exit(1);
        /* Where only a parent may trace, strace may trace this one all the same. */
        prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
        int null = open("/dev/null", O_RDWR);
        if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
            _exit(1);
        close(null);
        signal(SIGPIPE, SIG_DFL);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    setpgid(server, server);
    server_is_ours = 1;
    free(command);
    for (uint64_t end = now_ns() + PATIENCE; !answers(); pause_ms(2)) {
        check_interrupted();
        check_server();
        if (now_ns() > end)
            die("%s: the server does not listen there after %d seconds", where,
                (int)(PATIENCE / SECOND));
    }
}

/* ---------------------------------------------------------------- the histogram */

/*
 * Latencies are counted in buckets, each 1/128 wide of what it holds: a billion of
 * them take no more room than one, and what is read out of it is within 0.4 %.
 */
#define STEPS 128UL
static uint64_t histogram[STEPS * 40]; /* up to 2^46 ns, 19 hours */
static uint64_t samples, slowest;

static void
record(uint64_t ns)
{
    unsigned shift = 0;
    while (ns >> shift >= 2 * STEPS)
        ++shift;
    size_t bucket = shift * STEPS + (ns >> shift);
    size_t last = sizeof(histogram) / sizeof(histogram[0]) - 1;
    ++histogram[bucket < last ? bucket : last];
    ++samples;
    if (ns > slowest)
        slowest = ns;
}

/* The latency that PERMILLE of 1000 do not exceed, in microseconds. */
static double
quantile(unsigned permille)
{
    uint64_t rank = (samples * permille + 999) / 1000, sum = 0;
    for (size_t i = 0; i < sizeof(histogram) / sizeof(histogram[0]); ++i) {
        sum += histogram[i];
        if (sum < rank || sum == 0)
            continue;
        unsigned shift = i < 2 * STEPS ? 0 : (unsigned)(i / STEPS) - 1;
        double from = (double)((i - shift * STEPS) << shift);
        double middle = from + (double)((1ULL << shift) - 1) / 2;
        return (middle < (double)slowest ? middle : (double)slowest) / 1e3;
    }
    return 0;
}

/* --------------------------------------------------------------------- the ring */

static char *lines, *expected; /* the stream that is sent, and its ROT13 */
static uint64_t ring;          /* bytes of each, a whole number of lines */

static void
make_ring(void)
{
    uint64_t length = (uint64_t)opt.length;
    uint64_t count = RING / length > 16 ? RING / length : 16;
    ring = count * length;
    lines = malloc(ring);
    expected = malloc(ring);
    if (lines == NULL || expected == NULL)
        die("out of memory");
    /* Letters for the most part, and every byte that there is; always the same. */
    uint32_t random = 40713;
    for (uint64_t i = 0; i < ring; ++i) {
        random = random * 1664525 + 1013904223;
        if ((random >> 8 & 15) == 0)
            lines[i] = (char)(random >> 24);
        else
            lines[i] = "abcdefghijklmnopqrstuvwxyz ABCDE"[random >> 16 & 31];
        if (lines[i] == '\n')
            lines[i] = '\0';
        if (i % length == length - 1)
            lines[i] = '\n';
    }
    memcpy(expected, lines, ring);
    rot13(expected, ring);
}

/* ------------------------------------------------------------------ connections */

/*
 * A connection's stream is the ring over and over, from a place of its own.  What it
 * may send goes up to ALLOWED: in rtt to the end of the next line, in bulk for ever.
 */
struct conn {
    int fd;
    int idle;           /* nothing is sent, so nothing may come */
    int armed;          /* epoll tells us when we can write */
    uint64_t offset;    /* where in the ring its stream begins */
    uint64_t sent, got; /* bytes, both since it was opened */
    uint64_t allowed;   /* bytes it may have sent */
    uint64_t since;     /* when its line was sent, or due: latency starts here */
    uint64_t waiting;   /* with --rate: lines due that wait for this one's answer */
};

static struct conn *conns; /* first the idle ones, then the active */
static long opened;        /* so many of them are open */
static int ep = -1;

static enum phase { WARM, TIMED, DRAIN } phase;
static uint64_t timed_from;  /* lines from here on are recorded */
static uint64_t answered;    /* whole bytes of answers in this run */
static uint64_t finished;    /* churn: connections that got their answer */
static uint64_t busy;        /* connections that wait for an answer */
static uint64_t last_answer; /* when the last byte came: is the server stuck? */
static uint64_t total_bytes; /* of all the runs, as the server will have seen them */

static void
number_of(const struct conn *c, char *text, size_t size)
{
    long i = (long)(c - conns);
    if (c->idle)
        snprintf(text, size, "idle connection %ld of %ld", i + 1, opt.idle);
    else
        snprintf(text, size, "connection %ld of %ld", i - opt.idle + 1, opt.active);
}

static void __attribute__((noreturn)) conn_failed(const struct conn *c, const char *what)
{
    char name[80];
    pause_ms(50); /* a server that dies loses its connections first */
    check_server();
    number_of(c, name, sizeof(name));
    die("%s: %s: %s after %llu bytes sent and %llu received", where, name, what,
        (unsigned long long)c->sent, (unsigned long long)c->got);
}

static void
watch(struct conn *c, uint32_t events, int op)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};
    if (epoll_ctl(ep, op, c->fd, &ev) < 0)
        die("epoll_ctl: %s", strerror(errno));
    c->armed = (events & EPOLLOUT) != 0;
}

/* A source address has some 28000 ports, and one whose connection was closed comes
 * back after a while only.  127.0.0.0/8 has addresses enough to take turns. */
static void
bind_source(int fd, uint64_t serial)
{
    struct sockaddr_in *to = (struct sockaddr_in *)&server_addr, from = {0};
    if (to->sin_family != AF_INET || (ntohl(to->sin_addr.s_addr) >> 24) != 127)
        return;
    uint64_t turn = opt.mode == CHURN ? serial % 16 : serial / PER_ADDRESS;
    if (turn == 0)
        return;
    int one = 1;
    from.sin_family = AF_INET;
    from.sin_addr.s_addr = htonl(0x7f000001 + (uint32_t)turn);
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) < 0 ||
        bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0)
        die("a source address 127.0.0.%d: %s", (int)turn + 1, strerror(errno));
}

static void
open_conn(struct conn *c)
{
    static uint64_t serial;
    c->fd = socket(server_addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket: %s", strerror(errno));
    bind_source(c->fd, serial++);
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    /* The source port may be the server's own, which the next server has to be able to
     * take. */
    setsockopt(c->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    c->sent = c->got = c->allowed = 0;
    if (connect(c->fd, (struct sockaddr *)&server_addr, server_len) == 0) {
        watch(c, EPOLLIN, EPOLL_CTL_ADD);
    } else if (errno == EINPROGRESS) {
        watch(c, EPOLLIN | (c->idle ? 0 : EPOLLOUT), EPOLL_CTL_ADD);
    } else if (errno == EADDRNOTAVAIL) {
        die("%s: no source port is free; closed connections give theirs back after a"
            " minute",
            where);
    } else {
        conn_failed(c, strerror(errno));
    }
}

/* Sends what may be sent, as far as the socket takes it. */
static void
push(struct conn *c)
{
    while (c->sent < c->allowed) {
        uint64_t at = (c->offset + c->sent) % ring;
        uint64_t n = c->allowed - c->sent;
        if (n > ring - at)
            n = ring - at;
        if (n > SEND_SIZE)
            n = SEND_SIZE;
        ssize_t result = send(c->fd, lines + at, n, MSG_NOSIGNAL);
        if (result < 0) {
            if (errno != EAGAIN)
                conn_failed(c, strerror(errno));
            break;
        }
        c->sent += (uint64_t)result;
        /* Streaming, it is the turn of the answers now; epoll brings us back. */
        if (opt.mode == BULK)
            break;
    }
    int wanted = c->sent < c->allowed;
    if (wanted != c->armed)
        watch(c, EPOLLIN | (wanted ? EPOLLOUT : 0), EPOLL_CTL_MOD);
}

static void
next_line(struct conn *c, uint64_t since)
{
    c->since = since;
    c->allowed += (uint64_t)opt.length;
    ++busy;
    push(c);
}

static void __attribute__((noreturn)) wrong_byte(const struct conn *c, const char *got)
{
    uint64_t i = 0;
    while (got[i] == expected[(c->offset + c->got + i) % ring])
        ++i;
    uint64_t byte = c->got + i;
    unsigned char want = (unsigned char)expected[(c->offset + byte) % ring];
    char name[80];
    number_of(c, name, sizeof(name));
    die("%s: %s: wrong byte: byte %llu of what came back (line %llu, byte %llu of it)"
        " is 0x%02x and should be 0x%02x",
        where, name, (unsigned long long)byte + 1,
        (unsigned long long)(byte / (uint64_t)opt.length) + 1,
        (unsigned long long)(byte % (uint64_t)opt.length) + 1, (unsigned char)got[i],
        want);
}

static void
compare(struct conn *c, const char *buf, uint64_t n)
{
    uint64_t done = 0;
    if (n > c->sent - c->got)
        conn_failed(c, "more came back than was sent");
    while (done < n) {
        uint64_t at = (c->offset + c->got) % ring;
        uint64_t part = n - done < ring - at ? n - done : ring - at;
        if (memcmp(buf + done, expected + at, part) != 0)
            wrong_byte(c, buf + done);
        c->got += part;
        done += part;
    }
    answered += n;
}

/* The whole line is back.  NOW is when we learned of it. */
static void
line_done(struct conn *c, uint64_t now)
{
    --busy;
    if (c->since >= timed_from && phase != WARM)
        record(now - c->since);
    if (opt.mode == CHURN) {
        ++finished;
        close(c->fd);
        c->fd = -1;
        if (phase == DRAIN)
            return;
        uint64_t since = now_ns();
        open_conn(c);
        next_line(c, since);
    } else if (opt.rate > 0) {
        if (c->waiting == 0)
            return;
        --c->waiting;
        next_line(c, c->since + (uint64_t)(1e9 * (double)opt.active / opt.rate));
    } else if (phase != DRAIN) {
        next_line(c, now_ns());
    }
}

static void
pull(struct conn *c, uint64_t now)
{
    static char buf[RECV_SIZE];
    ssize_t n = recv(c->fd, buf, sizeof(buf), 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n < 0)
        conn_failed(c, strerror(errno));
    if (n == 0)
        conn_failed(c, "the server closed it");
    compare(c, buf, (uint64_t)n);
    last_answer = now;
    if (c->got == c->allowed)
        line_done(c, now);
}

/* ------------------------------------------------------------------------- a run */

static void
open_all(void)
{
    ep = epoll_create1(EPOLL_CLOEXEC);
    conns = calloc((size_t)(opt.active + opt.idle) + 1, sizeof(*conns));
    if (ep < 0 || conns == NULL)
        die("epoll_create1: %s", strerror(errno));
    uint64_t in_ring = ring / (uint64_t)opt.length;
    for (opened = 0; opened < opt.active + opt.idle; ++opened) {
        struct conn *c = &conns[opened];
        c->idle = opened < opt.idle;
        /* 101 has no divisor in common with most counts of lines, so that the streams
         * of neighbours differ. */
        c->offset = (uint64_t)opened * 101 % in_ring * (uint64_t)opt.length;
        /* In churn the active ones begin when the run does. */
        c->fd = -1;
        if (c->idle || opt.mode != CHURN)
            open_conn(c);
        /* No more than a short queue holds, or a connect may wait for a second. */
        if (opened % 100 == 99)
            probe_or_die(opened + 1);
    }
    probe_or_die(opened);
}

static void
close_all(void)
{
    busy = 0;
    for (long i = 0; i < opened; ++i)
        if (conns[i].fd >= 0)
            close(conns[i].fd);
    free(conns);
    close(ep);
    conns = NULL;
    opened = 0;
    ep = -1;
}

struct result {
    double seconds;        /* how long it was measured */
    uint64_t lines, bytes; /* that came back meanwhile */
    uint64_t late;         /* lines due that were not answered in the end either */
    uint64_t unanswered;   /* bulk: bytes that were not */
    struct usage usage;    /* at the end; cpu is what was used meanwhile */
    int cpu_known;         /* it is all that was used */
    double cpu_seconds;    /* the time that the processor times are counted over */
    uint64_t cpu_lines;    /* and the lines */
    double load_cpu;       /* our own share of a core */
    uint64_t calls;        /* system calls, when they are counted */
};

static double
own_cpu(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint64_t
lines_so_far(void)
{
    return opt.mode == CHURN ? finished : answered / (uint64_t)opt.length;
}

static void
progress(uint64_t now, uint64_t start)
{
    static uint64_t shown;
    if (!on_terminal || now < shown + SECOND / 4)
        return;
    shown = now;
    fprintf(stderr, "\r\033[K%s %s: %s %.1f s, %llu lines", opt.name,
            mode_names[opt.mode],
            phase == WARM    ? "warming up"
            : phase == TIMED ? "measuring"
                             : "waiting for the last answers",
            (double)(now - start) / 1e9, (unsigned long long)lines_so_far());
}

/* With --rate, the next line is due at START + NEXT / rate, on the connections in
 * turn.  Sends those that are due; returns when the next one is. */
static uint64_t
send_due(uint64_t start, uint64_t *next, uint64_t now, uint64_t end)
{
    while (1) {
        uint64_t due = start + (uint64_t)((double)*next * 1e9 / opt.rate);
        if (due > now || due >= end)
            return due;
        struct conn *c = &conns[opt.idle + (long)(*next % (uint64_t)opt.active)];
        ++*next;
        if (c->got < c->allowed)
            ++c->waiting;
        else
            next_line(c, due);
    }
}

static void
start_load(void)
{
    for (long i = opt.idle; i < opened; ++i) {
        struct conn *c = &conns[i];
        c->waiting = 0;
        if (opt.mode == BULK) {
            c->allowed = UINT64_MAX - MAX_LENGTH;
            ++busy;
            push(c);
        } else if (opt.rate == 0) {
            uint64_t since = now_ns();
            if (opt.mode == CHURN)
                open_conn(c);
            next_line(c, since);
        }
    }
}

/* No more lines; those on their way are finished and waited for. */
static void
stop_load(void)
{
    uint64_t length = (uint64_t)opt.length;
    phase = DRAIN;
    for (long i = opt.idle; i < opened && opt.mode == BULK; ++i) {
        struct conn *c = &conns[i];
        c->allowed = (c->sent + length - 1) / length * length;
        if (c->got == c->allowed)
            --busy;
        push(c);
    }
}

/* What there was when the timed phase began. */
static struct {
    uint64_t at, lines, bytes, calls;
    double own_cpu;
    struct usage usage;
} before;

/* A server that is not there any more has no figures. */
static void
look_at_server(struct usage *u)
{
    if (server && usage_of(server, 0, u) == 0) {
        check_server();
        die("process %ld has ended", (long)server);
    }
}

static void
begin_timed(struct counter *counter)
{
    uint64_t looked = now_ns();
    look_at_server(&before.usage);
    if (counter)
        before.calls = counter_read(counter);
    phase = TIMED;
    before.at = now_ns();
    before.lines = lines_so_far();
    before.bytes = answered;
    before.own_cpu = own_cpu();
    /* While we looked at the server, lines had to wait for us: no latencies until that
     * is made up for.  And none at all when counting slows the server down. */
    if (!counter)
        timed_from = before.at + (before.at - looked);
}

static void
end_timed(struct result *r)
{
    r->seconds = (double)(now_ns() - before.at) / 1e9;
    r->lines = lines_so_far() - before.lines;
    r->bytes = answered - before.bytes;
    r->load_cpu = (own_cpu() - before.own_cpu) / r->seconds;
    stop_load();
}

/* All answers are here.  Now we may take the time to look at the server. */
static void
end_drain(struct result *r, struct counter *counter)
{
    if (counter)
        r->calls = counter_read(counter) - before.calls;
    r->cpu_seconds = (double)(now_ns() - before.at) / 1e9;
    r->cpu_lines = lines_so_far() - before.lines;
    look_at_server(&r->usage);
    r->usage.cpu -= before.usage.cpu;
    /* In churn children end while it is measured; if nobody waits for them, what they
     * used is in no sum. */
    r->cpu_known = r->usage.cpu >= 0 &&
                   !(opt.mode == CHURN && (before.usage.unwaited || r->usage.unwaited));
    total_bytes += answered;
}

/* We gave up waiting: these lines were at least as slow as this. */
static uint64_t
record_late(uint64_t now)
{
    uint64_t late = 0;
    double period = opt.rate > 0 ? 1e9 * (double)opt.active / opt.rate : 0;
    for (long i = opt.idle; i < opened; ++i) {
        struct conn *c = &conns[i];
        for (uint64_t k = c->got < c->allowed ? 0 : 1; k <= c->waiting; ++k) {
            uint64_t due = c->since + (uint64_t)((double)k * period);
            if (due < timed_from)
                continue;
            record(now - due);
            ++late;
        }
    }
    return late;
}

/* The answers that are still missing when we have waited long enough for them.  A
 * server with long queues, and ours, could take hours. */
static void
give_up(struct result *r, uint64_t now)
{
    if (opt.mode != BULK)
        r->late = record_late(now);
    for (long i = opt.idle; i < opened && opt.mode == BULK; ++i)
        r->unanswered += conns[i].sent - conns[i].got;
}

/* Serves what is ready, waits for it until WAKE if nothing is. */
static void
wait_for_events(uint64_t now, uint64_t wake)
{
    if (on_terminal && wake > now + SECOND / 4)
        wake = now + SECOND / 4;
    uint64_t pause = wake > now ? wake - now : 0;
    int ms = (int)((pause + 999999) / 1000000);
    /* A line has to go out when it is due, not when a timer came round to it: with
     * --rate, sleep a little less than until then, and be awake for the rest. */
    if (opt.rate > 0) {
        ms = 0;
        uint64_t nap = pause > SPIN ? pause - SPIN / 2 : 0;
        struct timespec timeout = {(time_t)(nap / SECOND), (long)(nap % SECOND)};
        if (nap > 0)
            ppoll(&(struct pollfd){.fd = ep, .events = POLLIN}, 1, &timeout, NULL);
    }
    struct epoll_event events[512];
    int n = epoll_wait(ep, events, 512, ms);
    if (n < 0 && errno != EINTR)
        die("epoll_wait: %s", strerror(errno));
    check_interrupted();
    now = now_ns();
    for (int i = 0; i < n; ++i) {
        struct conn *c = events[i].data.ptr;
        /* Answers first: they may end the connection.  (They may open another in its
         * place, with the same number even: to push that is no mistake, and does
         * nothing.) */
        int fd = c->fd;
        if (events[i].events & ~(uint32_t)EPOLLOUT)
            pull(c, now);
        if (events[i].events & EPOLLOUT && c->fd == fd)
            push(c);
    }
}

/* Warm-up, the timed phase, and the wait for the last answers. */
static struct result
run(double warmup, double duration, struct counter *counter)
{
    struct result r = {0};
    uint64_t next = 0; /* with --rate: the number of the line that is due next */

    answered = finished = 0;
    phase = WARM;
    timed_from = UINT64_MAX;
    uint64_t start = last_answer = now_ns();
    uint64_t turn = start + (uint64_t)(warmup * 1e9); /* when the phase ends */
    if (warmup <= 0) {
        begin_timed(counter); /* before the first line, so that all is counted */
        turn = before.at + (uint64_t)(duration * 1e9);
    }
    start_load();

    while (phase != DRAIN || busy > 0) {
        uint64_t now = now_ns(), wake = turn;
        if (phase == WARM && now >= turn) {
            begin_timed(counter);
            turn = before.at + (uint64_t)(duration * 1e9);
            continue;
        }
        if (phase == TIMED && now >= turn) {
            end_timed(&r);
            if (opt.rate > 0) /* what became due since the last time */
                send_due(start, &next, now, turn);
            continue;
        }
        if (phase == DRAIN)
            wake = now + SECOND / 10;
        if (busy == 0)
            last_answer = now;
        if (now > last_answer + PATIENCE)
            die("%s: no answer for %d seconds, %llu of %ld connections wait for one",
                where, (int)(PATIENCE / SECOND), (unsigned long long)busy, opt.active);
        if (phase == DRAIN && now > turn + PATIENCE) {
            give_up(&r, now);
            break;
        }
        if (opt.rate > 0 && phase != DRAIN) {
            uint64_t due = send_due(start, &next, now, phase == WARM ? UINT64_MAX : turn);
            wake = due < wake ? due : wake;
        }
        progress(now, start);
        wait_for_events(now, wake);
    }
    end_drain(&r, counter);
    return r;
}

/* ------------------------------------------------------------------- the reports */

struct report {
    struct result timed;
    struct result counted;   /* the second run, in which system calls are counted */
    const char *counted_by;  /* NULL when they were not */
    double pss_kib, rss_kib; /* per connection, negative when not known */
};

static void
csv_number(int known, double value)
{
    if (known)
        printf(",%.6g", value);
    else
        putchar(',');
}

static void
report_csv(const struct report *r)
{
    const struct result *t = &r->timed, *k = &r->counted;
    if (opt.csv_header)
        puts("server,mode,active,idle,length,rate,seconds,lines,lines_per_s,mb_per_s,"
             "p50_us,p90_us,p99_us,p999_us,max_us,late_lines,processes,cpu_us_per_line,"
             "cpu_percent,calls_per_line,calls_per_s,counted_by,pss_kib_per_connection,"
             "rss_kib_per_connection,load_percent,lines_in_all");
    int spoken = samples > 0;
    printf("%s,%s,%ld,%ld,%ld", opt.name, mode_names[opt.mode], opt.active, opt.idle,
           opt.length);
    csv_number(opt.rate > 0, opt.rate);
    printf(",%.6f,%llu", t->seconds, (unsigned long long)t->lines);
    csv_number(1, (double)t->lines / t->seconds);
    csv_number(1, (double)t->bytes / t->seconds / 1e6);
    csv_number(spoken, quantile(500));
    csv_number(spoken, quantile(900));
    csv_number(spoken, quantile(990));
    csv_number(spoken, quantile(999));
    csv_number(spoken, (double)slowest / 1e3);
    csv_number(opt.rate > 0 || t->late > 0, (double)t->late);
    csv_number(server > 0, t->usage.processes);
    int known = server && t->cpu_known;
    csv_number(known && t->cpu_lines, t->usage.cpu * 1e6 / (double)t->cpu_lines);
    csv_number(known, t->usage.cpu * 100 / t->cpu_seconds);
    csv_number(r->counted_by && k->cpu_lines, (double)k->calls / (double)k->cpu_lines);
    csv_number(r->counted_by != NULL, (double)k->calls / k->cpu_seconds);
    printf(",%s", r->counted_by ? r->counted_by : "");
    csv_number(r->pss_kib >= 0, r->pss_kib);
    csv_number(r->rss_kib >= 0, r->rss_kib);
    csv_number(1, t->load_cpu * 100);
    uint64_t in_all = total_bytes / (uint64_t)opt.length + probes;
    printf(",%llu\n", (unsigned long long)in_all);
}

static void
print_time(const char *label, double us)
{
    if (us < 1000)
        printf("%s%.0f us", label, us);
    else if (us < 1e6)
        printf("%s%.3g ms", label, us / 1e3);
    else
        printf("%s%.3g s", label, us / 1e6);
}

static int
load_was_the_limit(const struct result *t)
{
    return opt.rate == 0 && t->load_cpu > 0.95 &&
           (!server || (t->cpu_known && t->usage.cpu < 0.9 * t->cpu_seconds));
}

static void
report_line(const struct report *r)
{
    const struct result *t = &r->timed, *k = &r->counted;
    const char *next = isatty(STDOUT_FILENO) ? "\n  " : "; ";
    printf("%s %s, %ld active, %ld idle: ", opt.name, mode_names[opt.mode], opt.active,
           opt.idle);
    if (opt.active > 0)
        printf("%.0f %s/s, %.4g MB/s", (double)t->lines / t->seconds,
               opt.mode == CHURN ? "connections" : "lines",
               (double)t->bytes / t->seconds / 1e6);
    else
        printf("nobody spoke for %.1f s", t->seconds);
    if (samples > 0) {
        printf("%s", next);
        print_time("latency p50 ", quantile(500));
        print_time(", p90 ", quantile(900));
        print_time(", p99 ", quantile(990));
        print_time(", p99.9 ", quantile(999));
        print_time(", max ", (double)slowest / 1e3);
    }
    if (server) {
        printf("%sserver: %d process%s, CPU ", next, t->usage.processes,
               t->usage.processes == 1 ? "" : "es");
        if (t->cpu_known)
            printf("%.3g %%", t->usage.cpu * 100 / t->cpu_seconds);
        else
            printf("not known (its children end, and it does not wait for them)");
        if (t->cpu_known && t->cpu_lines > 0)
            printf(", %.3g us/line", t->usage.cpu * 1e6 / (double)t->cpu_lines);
        if (r->counted_by && k->cpu_lines > 0)
            printf(", %.3g calls/line (%s)", (double)k->calls / (double)k->cpu_lines,
                   r->counted_by);
        else if (r->counted_by)
            printf(", %.3g calls/s (%s)", (double)k->calls / k->cpu_seconds,
                   r->counted_by);
        if (r->pss_kib >= 0)
            printf(", %.3g KiB/connection", r->pss_kib);
    }
    printf("%sload: CPU %.0f %%\n", next, t->load_cpu * 100);
    int patience = (int)(PATIENCE / SECOND);
    if (t->late > 0 && opt.rate > 0)
        printf("  %llu lines were due and not answered %d seconds later: the server, or"
               " this load, cannot keep up with %.10g lines/s\n",
               (unsigned long long)t->late, patience, opt.rate);
    else if (t->late > 0)
        printf("  %llu lines were not answered %d seconds after the end either\n",
               (unsigned long long)t->late, patience);
    if (t->unanswered > 0)
        printf("  %llu bytes were not answered %d seconds after the end either: they are"
               " in no figure\n",
               (unsigned long long)t->unanswered, patience);
    if (load_was_the_limit(t))
        printf("  our own core was full and the server's was not: it may be faster than"
               " this\n");
}

/* ----------------------------------------------------------------- what to do */

static double
number(const char *option, const char *text, double min, double max, int whole)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || errno != 0 || !(value >= min && value <= max) ||
        (whole && value != (double)(long)value))
        bad_usage("%s %s: should be a %snumber from %g to %.10g", option, text,
                  whole ? "whole " : "", min, max);
    return value;
}

static void
parse(int argc, char **argv)
{
    enum { SYSCALLS = 1000, CSV, CSV_HEADER };
    static const struct option options[] = {{"active", required_argument, NULL, 'a'},
                                            {"idle", required_argument, NULL, 'i'},
                                            {"length", required_argument, NULL, 'l'},
                                            {"duration", required_argument, NULL, 'd'},
                                            {"warmup", required_argument, NULL, 'w'},
                                            {"rate", required_argument, NULL, 'r'},
                                            {"cpu", required_argument, NULL, 'c'},
                                            {"server", required_argument, NULL, 's'},
                                            {"pid", required_argument, NULL, 'p'},
                                            {"name", required_argument, NULL, 'n'},
                                            {"syscalls", no_argument, NULL, SYSCALLS},
                                            {"csv", no_argument, NULL, CSV},
                                            {"csv-header", no_argument, NULL, CSV_HEADER},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    for (int o;
         (o = getopt_long(argc, argv, ":a:i:l:d:w:r:c:s:p:n:h", options, NULL)) != -1;) {
        switch (o) {
        case 'a':
            opt.active = (long)number("--active", optarg, 0, 1e6, 1);
            break;
        case 'i':
            opt.idle = (long)number("--idle", optarg, 0, 1e6, 1);
            break;
        case 'l':
            opt.length = (long)number("--length", optarg, 1, MAX_LENGTH, 1);
            break;
        case 'd':
            opt.duration = number("--duration", optarg, 0.01, 86400, 0);
            break;
        case 'w':
            opt.warmup = number("--warmup", optarg, 0, 86400, 0);
            break;
        case 'r':
            opt.rate = number("--rate", optarg, 0.01, 1e7, 0);
            break;
        case 'c':
            opt.cpu = (long)number("--cpu", optarg, 0, CPU_SETSIZE - 1, 1);
            break;
        case 's':
            opt.server = optarg;
            break;
        case 'p':
            opt.pid = (pid_t)number("--pid", optarg, 1, 1 << 30, 1);
            break;
        case 'n':
            opt.name = optarg;
            break;
        case SYSCALLS:
            opt.syscalls = 1;
            break;
        case CSV_HEADER:
            opt.csv_header = 1;
            opt.csv = 1;
            break;
        case CSV:
            opt.csv = 1;
            break;
        case 'h':
            fputs(help, stdout);
            exit(0);
        case ':':
            bad_usage("%s: its value is missing", argv[optind - 1]);
        default:
            bad_usage("%s: there is no such option", argv[optind - 1]);
        }
    }
    if (optind >= argc)
        bad_usage("which mode, rtt, bulk or churn?");
    const char *mode = argv[optind++];
    for (opt.mode = RTT; strcmp(mode, mode_names[opt.mode]) != 0; ++opt.mode)
        if (opt.mode == CHURN)
            bad_usage("%s: the modes are rtt, bulk and churn", mode);
    if (optind < argc)
        opt.port = argv[optind++];
    if (optind < argc)
        opt.address = argv[optind++];
    if (optind < argc)
        bad_usage("%s: one argument too many", argv[optind]);
    number("the port", opt.port, 1, 65535, 1);
    if (opt.active == 0 && opt.mode != RTT)
        bad_usage("--active 0 goes with rtt only");
    if (opt.rate > 0 && (opt.mode != RTT || opt.active == 0))
        bad_usage("--rate goes with rtt only, and needs an active connection");
    if (opt.server && opt.pid)
        bad_usage("--server and --pid: one of them, not both");
    if (opt.syscalls && !opt.server && !opt.pid)
        bad_usage("--syscalls: of what? --server or --pid says it");
    resolve();
    if (!opt.name)
        opt.name = opt.server ? opt.server : where;
    if (opt.name[strcspn(opt.name, ",\"\n")] != '\0') {
        if (opt.csv)
            bad_usage("a comma, quote or newline would break the CSV: give a --name");
    }
}

/* As many descriptors as we may have.  The server inherits the limit from us. */
static void
raise_limit(void)
{
    struct rlimit limit;
    long needed = opt.active + opt.idle + 16; /* the rest is standard streams, epoll... */
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("getrlimit: %s", strerror(errno));
    if ((rlim_t)needed > limit.rlim_max)
        die("%ld connections need %ld descriptors, and %llu is the limit (ulimit -Hn):"
            " raise it (as root: ulimit -n %ld), or ask for fewer",
            opt.active + opt.idle, needed, (unsigned long long)limit.rlim_max, needed);
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("setrlimit: %s", strerror(errno));
}

/* A server may give memory back as well: that it takes none is the least. */
static double
per_connection(double empty, double full)
{
    return full > empty ? (full - empty) / (double)(opt.active + opt.idle) : 0;
}

int
main(int argc, char **argv)
{
    parse(argc, argv);
    on_terminal = isatty(STDERR_FILENO);
    raise_limit();
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    make_ring();

    if (opt.server)
        start_server();
    else if (opt.pid)
        server = opt.pid;
    if (opt.cpu >= 0) { /* only now: the server would have inherited it */
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)opt.cpu, &set);
        if (sched_setaffinity(0, sizeof(set), &set) < 0)
            die("--cpu %ld: %s; this machine has %ld processors, the first is 0", opt.cpu,
                strerror(errno), sysconf(_SC_NPROCESSORS_ONLN));
    }
    struct usage empty = {0}, full;
    probe_or_die(0); /* what the first connection costs is not the price of a second */
    if (server && usage_of(server, 1, &empty) == 0) {
        check_server();
        die("--pid %ld: there is no such process", (long)server);
    }

    struct report report = {.pss_kib = -1, .rss_kib = -1};
    open_all();
    report.timed = run(opt.warmup, opt.duration, NULL);
    if (server && opt.mode != CHURN && opt.active + opt.idle > 0) {
        usage_of(server, 1, &full);
        if (full.pss_kib >= 0 && empty.pss_kib >= 0) {
            report.pss_kib = per_connection(empty.pss_kib, full.pss_kib);
            report.rss_kib = per_connection(empty.rss_kib, full.rss_kib);
        }
    }
    close_all();

    if (opt.syscalls) {
        /* The counter comes first: it follows whatever is forked from now on. */
        const char *why;
        struct counter *counter = counter_open(server, &why);
        if (counter) {
            report.counted_by = counter_name(counter);
            open_all();
            /* From silence to silence, or the lines that are on their way when it begins
             * would count and what the server did for them would not. */
            run(0, opt.warmup, counter);
            report.counted = run(0, opt.duration < 1 ? opt.duration : 1, counter);
            close_all();
            counter_close(counter);
        } else {
            clear_progress();
            fprintf(stderr, "rot13-load: the system calls are not counted: %s\n", why);
        }
    }
    clear_progress();
    if (opt.csv)
        report_csv(&report);
    else
        report_line(&report);
    stop_server();
    free(lines);
    free(expected);
    if (fflush(stdout) != 0) {
        fprintf(stderr, "rot13-load: writing the report: %s\n", strerror(errno));
        return 1;
    }
    return 0;
}
