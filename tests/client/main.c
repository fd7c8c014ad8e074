/*
 * rot13-client: the client that tests a ROT13 server from outside, for all that nc
 * cannot do: resets and urgent data, ten thousand connections at once, streams cut at
 * random. It knows nothing of the server but its address and the contract
 * (docs/contract.md), so it tests any server, whatever it is written in.
 *
 *     tests/rot13-client --help
 *
 * Here are the command line and the smallest commands. The others are in the files of
 * their names, churn and flood in crowd.c, and what they share in connection.c. Linux
 * only (epoll, prctl, /proc).
 */
#define _GNU_SOURCE

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "client.h"

/* Until the command line says otherwise. */
struct settings opt = {.address = "127.0.0.1",
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
        bind(fd, (struct sockaddr *)&opt.to, opt.to_len) < 0 || listen(fd, 1) < 0) {
        int why = errno;
        const char *mend = "";
        if (why == EADDRINUSE) {
            mend = "; end what listens there (ss -ltnp shows it)";
            int other = start_connect(false);
            if (other >= 0 && wait_for(other, POLLOUT, now() + opt.patience) &&
                connect_result(other) == ECONNREFUSED)
                mend = " for up to a minute, by connections that a server closed first; "
                       "with SO_REUSEADDR it could be started again at once";
        }
        die(1, "%s:%ld is not free: %s%s", opt.address, (long)opt.port, strerror(why),
            mend);
    }
    close(fd);
    return 0;
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
    "    --any-time: an answer may come before its newline was sent.\n"
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
    {'A', "any-time", &opt.any_time, 0, 0, 0},
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
