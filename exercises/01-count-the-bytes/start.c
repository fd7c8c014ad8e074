/*
 * Exercise 01, count the bytes: where you start.
 *
 * This is stage 02, a process for every client, with child() as the article's
 * listing has it: it asks the kernel for one byte at a time.  What it answers is
 * right.  Count what that costs, then mend child().
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../rot13.h"

#define MAX_LINE 16384 /* the longest line that is answered whole, newline counted */

static const char program[] = "count-the-bytes";

static volatile sig_atomic_t listening_on = -1; /* the listener; stop() closes it */
static volatile sig_atomic_t group;             /* of the children; 0: there are none */

/*
 * Ends the loop in run(), even when the signal comes a moment before accept()
 * is called: on a closed listener it fails, it does not wait.  That is safe
 * because nothing in the loop but accept() itself opens a descriptor: no other
 * can come to have the listener's number.
 */
static void
stop(int signal_number)
{
    (void)signal_number;
    if (listening_on >= 0)
        close(listening_on);
    listening_on = -1;
}

/* A child that has ended stays, as a zombie, until its parent asks for it. */
static void
reap(int signal_number)
{
    int saved_errno = errno;
    pid_t pid = 0;

    (void)signal_number;
    while (group > 0 && (pid = waitpid(-group, NULL, WNOHANG)) > 0)
        ;
    if (pid < 0)
        group = 0; /* the last one has gone, and the number may go to somebody else */
    errno = saved_errno;
}

/*
 * Says in one line what went wrong, and errno says why.  At most one line a
 * second: what goes wrong once can go wrong ten thousand times.
 */
static void
complain(const char *what)
{
    static time_t last;
    time_t now = time(NULL);

    if (now != last)
        fprintf(stderr, "%s: %s: %s\n", program, what, strerror(errno));
    last = now;
}

/* ======================= one client ======================= */

/* Sends all of it, however long that takes.  Returns -1 if the client is gone. */
static int
send_all(int fd, const char *cp, size_t remaining)
{
    while (remaining > 0) {
        ssize_t n_written = send(fd, cp, remaining, 0);

        if (n_written < 0 && errno == EINTR)
            continue;
        if (n_written < 0)
            return -1;
        remaining -= (size_t)n_written;
        cp += n_written;
    }
    return 0;
}

/* Serves one client to the end, in a process of its own. */
static void
child(int fd)
{
    char outbuf[MAX_LINE];
    size_t outbuf_used = 0; /* the start of a line whose newline has not come yet */

    while (1) {
        char ch;
        ssize_t result = recv(fd, &ch, 1, 0);

        if (result == 0)
            break;
        if (result < 0) {
            if (errno == EINTR)
                continue;
            return;
        }

        outbuf[outbuf_used++] = rot13_char(ch);
        /* A line longer than the buffer is passed on in pieces. */
        if (ch == '\n' || outbuf_used == sizeof(outbuf)) {
            if (send_all(fd, outbuf, outbuf_used) < 0)
                return;
            outbuf_used = 0;
        }
    }

    /* No newline will come any more: answer the rest as it stands. */
    send_all(fd, outbuf, outbuf_used);
}

/* ======================= the server ======================= */

/* Writes the address as people do: 127.0.0.1:40713, or [::1]:40713. */
static void
format_address(char *name, size_t size, const struct sockaddr *address, socklen_t len)
{
    char host[64], port[8];

    if (getnameinfo(address, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(name, size, "?");
    else if (address->sa_family == AF_INET6)
        snprintf(name, size, "[%s]:%s", host, port);
    else
        snprintf(name, size, "%s:%s", host, port);
}

/*
 * Opens the socket that clients connect to, and writes its address into NAME.
 * Returns -1 when that cannot be done, having said why.
 */
static int
open_listener(const struct addrinfo *where, char *name, size_t size)
{
    const int one = 1;
    struct sockaddr_storage ss;
    socklen_t slen = sizeof(ss);
    int listener = socket(where->ai_family, SOCK_STREAM, 0);

    /* REUSEADDR: the port is ours again as soon as we restart.  NODELAY, which
     * the clients' sockets inherit: a short reply does not wait for company. */
    if (listener < 0 ||
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
        bind(listener, where->ai_addr, where->ai_addrlen) < 0 ||
        listen(listener, SOMAXCONN) < 0 ||
        getsockname(listener, (struct sockaddr *)&ss, &slen) < 0) {
        int error = errno;

        format_address(name, size, where->ai_addr, where->ai_addrlen);
        fprintf(stderr, "%s: cannot listen on %s: %s%s\n", program, name, strerror(error),
                error == EADDRINUSE ? " (another port: ./start 40714)" : "");
        if (listener >= 0)
            close(listener);
        return -1;
    }

    format_address(name, size, (struct sockaddr *)&ss, slen);
    return listener;
}

/* SIGPIPE would end us for a client's sake; the others: see stop() and reap(). */
static int
handle_signals(void)
{
    struct sigaction action = {.sa_handler = stop};

    if (sigaction(SIGINT, &action, NULL) < 0 || sigaction(SIGTERM, &action, NULL) < 0)
        return -1;
    action.sa_handler = reap;
    if (sigaction(SIGCHLD, &action, NULL) < 0)
        return -1;
    action.sa_handler = SIG_IGN;
    return sigaction(SIGPIPE, &action, NULL);
}

static int
run(const struct addrinfo *where)
{
    sigset_t signals; /* those that have a handler */
    char name[80];

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGCHLD);

    int listener = open_listener(where, name, sizeof(name));
    if (listener < 0)
        return 1;
    listening_on = listener;

    if (handle_signals() < 0 || printf("%s: listening on %s\n", program, name) < 0 ||
        fflush(stdout) == EOF) {
        complain("cannot start");
        close(listener);
        return 1;
    }

    while (listening_on >= 0) {
        int fd = accept(listener, NULL, NULL);

        if (fd < 0) {
            if (listening_on >= 0 && errno != EINTR && errno != ECONNABORTED) {
                complain("accept");
                sleep(1); /* new clients have to wait; a child that ends wakes us */
            }
            continue;
        }

        /* No handler may run before the child is told from the parent. */
        sigprocmask(SIG_BLOCK, &signals, NULL);
        pid_t pid = fork();

        switch (pid) {
        case -1:
            complain("fork"); /* this client is turned away, the others are served */
            break;
        case 0:
            close(listener);
            /* A child has nothing to tidy up: it may die of these. */
            signal(SIGINT, SIG_DFL);
            signal(SIGTERM, SIG_DFL);
            sigprocmask(SIG_UNBLOCK, &signals, NULL);
            child(fd);
            _exit(0); /* the kernel closes what is open */
        default:
            if (setpgid(pid, group) < 0) {
                complain("setpgid");
                kill(pid, SIGKILL); /* outside the group it would outlive us */
                waitpid(pid, NULL, 0);
            } else if (group == 0) {
                group = pid; /* the first one gives its number to the group */
            }
            break;
        }
        close(fd);
        sigprocmask(SIG_UNBLOCK, &signals, NULL);
    }

    /* From here on no child is reaped, so if one is left, the group's number is ours. */
    sigprocmask(SIG_BLOCK, &signals, NULL);
    if (group > 0) {
        kill(-group, SIGKILL); /* a child that somebody stopped would not heed SIGTERM */
        while (waitpid(-group, NULL, 0) > 0)
            ;
    }
    return 0;
}

static int
usage(const char *what, const char *value)
{
    fprintf(stderr, "%s: %s '%s'; usage: %s [PORT [ADDRESS]]\n", program, what, value,
            program);
    return 2;
}

int
main(int argc, char **argv)
{
    const char *port = argc > 1 ? argv[1] : "40713";
    const char *address = argc > 2 ? argv[2] : "127.0.0.1";
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *where;

    if (argc > 3)
        return usage("one argument too many:", argv[3]);
    if (port[0] == '\0' || port[strspn(port, "0123456789")] != '\0' || strlen(port) > 5 ||
        atoi(port) > 65535)
        return usage("a port is a number from 0 to 65535, not", port);

    int error = getaddrinfo(address, port, &hints, &where);
    if (error == EAI_NONAME)
        return usage("an address is IPv4 or IPv6, as 127.0.0.1 or ::1, not", address);
    if (error != 0) {
        fprintf(stderr, "%s: %s: %s\n", program, address,
                error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
        return 1;
    }

    int status = run(where);
    freeaddrinfo(where);
    return status;
}
