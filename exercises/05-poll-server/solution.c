/*
 * Exercise 05, poll() in place of select(): a solution.
 *
 * poll() takes a list of any length, so the limit of 1024 is gone, and the list may
 * stay as it is from one call to the next.  It is still handed over whole each time.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../rot13.h"

#define MAX_LINE 16384 /* the longest line that is answered whole, newline counted */

static const char program[] = "poll-server";

static volatile sig_atomic_t listening_on = -1; /* the listener; stop() closes it */

/*
 * Ends the loop in run(), even when the signal comes a moment before poll()
 * is called: it tells of a closed listener at once, it does not wait.  (At our limit,
 * when the listener is not in the list, it waits for a second at most.)
 */
static void
stop(int signal_number)
{
    (void)signal_number;
    if (listening_on >= 0)
        close(listening_on);
    listening_on = -1;
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

/*
 * The buffer holds, in this order: what has been sent (n_written bytes), what
 * can be sent (up to write_upto), and the start of a line whose newline has not
 * come yet (up to buffer_used).  All of it is ROT13 already.
 */
struct fd_state {
    char buffer[MAX_LINE];
    size_t buffer_used;

    int writing; /* a reply is waiting: send it before reading on */
    int at_eof;  /* the client will send no more */
    size_t n_written;
    size_t write_upto;
};

static struct fd_state *
alloc_fd_state(void)
{
    struct fd_state *state = malloc(sizeof(*state));

    if (!state)
        return NULL;
    state->buffer_used = state->n_written = state->write_upto = 0;
    state->writing = state->at_eof = 0;
    return state;
}

static void
free_fd_state(struct fd_state *state)
{
    free(state);
}

static int
make_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* How many of these bytes belong to complete lines. */
static size_t
complete_lines(const char *buf, size_t len)
{
    while (len > 0 && buf[len - 1] != '\n')
        --len;
    return len;
}

/*
 * Sends what can be sent, in one call.  Returns 0 to go on with this client, 1
 * when all is said, -1 when the client is gone; the last two: close.
 */
static int
do_write(int fd, struct fd_state *state)
{
    ssize_t result = send(fd, state->buffer + state->n_written,
                          state->write_upto - state->n_written, 0);

    if (result < 0 && errno != EAGAIN && errno != EINTR)
        return -1;
    if (result > 0)
        state->n_written += (size_t)result;

    state->writing = state->n_written < state->write_upto;
    if (state->writing)
        return 0;

    /* The line that is not complete yet moves to the front, the rest is free. */
    state->buffer_used -= state->write_upto;
    memmove(state->buffer, state->buffer + state->write_upto, state->buffer_used);
    state->n_written = state->write_upto = 0;
    return state->at_eof;
}

/*
 * Reads what there is room for, in one call, and answers at once as far as the
 * socket takes it.  Returns what do_write() returns.
 */
static int
do_read(int fd, struct fd_state *state)
{
    char *new_bytes = state->buffer + state->buffer_used;
    size_t room = sizeof(state->buffer) - state->buffer_used;
    ssize_t result = recv(fd, new_bytes, room, 0);

    if (result < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;

    if (result == 0) {
        /* No newline will come any more: answer the rest as it stands. */
        state->at_eof = 1;
        state->write_upto = state->buffer_used;
    } else {
        size_t lines = complete_lines(new_bytes, (size_t)result);

        rot13(new_bytes, (size_t)result);
        if (lines > 0)
            state->write_upto = state->buffer_used + lines;
        state->buffer_used += (size_t)result;
        /* A line longer than the buffer is passed on in pieces. */
        if (state->buffer_used == sizeof(state->buffer) && state->write_upto == 0)
            state->write_upto = state->buffer_used;
    }

    return state->write_upto > 0 ? do_write(fd, state) : state->at_eof;
}

/* ======================= the table of clients ======================= */

/* By descriptor, as far as there has been one: it grows, and there is no limit. */
struct table {
    struct pollfd *pollfds;  /* what poll() is asked; fd is -1 where nobody is */
    struct fd_state **state; /* NULL where nobody is */
    int size;                /* the entries of each */
};

/* Sees to it that there is an entry for FD.  Returns -1 if there is no memory for it. */
static int
make_room(struct table *table, int fd)
{
    int size = table->size > 0 ? table->size : 64;

    while (size <= fd)
        size *= 2;
    if (size == table->size)
        return 0;

    struct pollfd *pollfds = realloc(table->pollfds, (size_t)size * sizeof(*pollfds));
    if (!pollfds)
        return -1;
    table->pollfds = pollfds;
    struct fd_state **state =
        realloc(table->state, (size_t)size * sizeof(struct fd_state *));
    if (!state)
        return -1;
    table->state = state;

    for (int i = table->size; i < size; ++i) {
        pollfds[i] = (struct pollfd){.fd = -1};
        state[i] = NULL;
    }
    table->size = size;
    return 0;
}

static void
free_table(struct table *table)
{
    free(table->pollfds);
    free(table->state);
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
                error == EADDRINUSE ? " (another port: ./solution 40714)" : "");
        if (listener >= 0)
            close(listener);
        return -1;
    }

    format_address(name, size, (struct sockaddr *)&ss, slen);
    return listener;
}

/* SIGINT and SIGTERM end the loop in run(); SIGPIPE would end us for a client's sake. */
static int
handle_signals(void)
{
    struct sigaction action = {.sa_handler = stop};

    if (sigaction(SIGINT, &action, NULL) < 0 || sigaction(SIGTERM, &action, NULL) < 0)
        return -1;
    action.sa_handler = SIG_IGN;
    return sigaction(SIGPIPE, &action, NULL);
}

/*
 * Takes one client in.  Returns -1, having said why, when there is no place for
 * it: it stays in the backlog.
 */
static int
do_accept(int listener, struct table *table, int *maxfd)
{
    int fd = accept(listener, NULL, NULL);

    if (fd < 0) {
        if (listening_on < 0 || errno == EAGAIN || errno == EINTR ||
            errno == ECONNABORTED)
            return 0; /* nobody there, or we are to stop */
        complain("accept");
        return -1;
    }

    if (make_nonblocking(fd) < 0 || make_room(table, fd) < 0 ||
        !(table->state[fd] = alloc_fd_state())) {
        complain("new client");
        close(fd);
    } else {
        table->pollfds[fd] = (struct pollfd){.fd = fd, .events = POLLIN};
        if (fd > *maxfd)
            *maxfd = fd;
    }
    return 0;
}

static int
run(const struct addrinfo *where)
{
    struct table table = {NULL, NULL, 0};
    time_t accept_failed = 0; /* when it last failed: do not try again in that second */
    char name[80];

    int listener = open_listener(where, name, sizeof(name));
    if (listener < 0)
        return 1;

    listening_on = listener;

    if (make_nonblocking(listener) < 0 || make_room(&table, listener) < 0 ||
        handle_signals() < 0 || printf("%s: listening on %s\n", program, name) < 0 ||
        fflush(stdout) == EOF) {
        complain("cannot start");
        free_table(&table);
        close(listener);
        return 1;
    }

    int maxfd = listener;

    table.pollfds[listener].events = POLLIN;

    while (listening_on >= 0) {
        int accepting = time(NULL) != accept_failed;

        table.pollfds[listener].fd = accepting ? listener : -1;

        int ready = poll(table.pollfds, (nfds_t)maxfd + 1, accepting ? -1 : 1000);
        if (ready < 0) {
            if (listening_on >= 0 && errno != EINTR)
                complain("poll");
            continue;
        }

        if (table.pollfds[listener].revents && do_accept(listener, &table, &maxfd) < 0)
            accept_failed = time(NULL);

        for (int fd = 0; fd <= maxfd; ++fd) {
            struct fd_state *state = table.state[fd];
            int over;

            /* An error is told too, unasked: the call that we make then says which. */
            if (!state || !table.pollfds[fd].revents)
                continue;
            over = state->writing ? do_write(fd, state) : do_read(fd, state);
            if (over) {
                free_fd_state(state);
                table.state[fd] = NULL;
                table.pollfds[fd].fd = -1;
                close(fd);
                accept_failed = 0; /* there is a place again */
            } else {
                table.pollfds[fd].events = state->writing ? POLLOUT : POLLIN;
            }
        }

        while (maxfd > listener && !table.state[maxfd])
            --maxfd;
    }

    for (int fd = 0; fd <= maxfd; ++fd)
        if (table.state[fd]) {
            free_fd_state(table.state[fd]);
            close(fd);
        }
    free_table(&table);
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
