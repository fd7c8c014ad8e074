/*
 * Exercise 06, epoll: a solution, edge-triggered.
 *
 * The kernel tells of changes, each once.  That something can still be read is no
 * change, so we have to remember it: until recv(), send() or accept() has said
 * EAGAIN, there may be more.  In return there is one epoll_ctl() in a client's life.
 *
 * One thing had to change besides: a pipe stops the loop, see stop().
 *
 * Linux only, as epoll is.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../rot13.h"

#define MAX_LINE   16384 /* the longest line that is answered whole, newline counted */
#define MAX_EVENTS 64    /* that epoll_wait() tells at a time */

static const char program[] = "epoll-server";

static volatile sig_atomic_t stop_pipe = -1; /* SIGINT and SIGTERM close this end of it */

/*
 * Ends the loop in run(): the other end becomes readable, and that wakes it, even
 * when the signal comes a moment before it goes to sleep.  A closed listener would
 * not: epoll forgets what is closed, and waits for the rest.
 */
static void
stop(int signal_number)
{
    (void)signal_number;
    if (stop_pipe >= 0)
        close(stop_pipe);
    stop_pipe = -1;
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
    int listed;  /* is on the list of those that may be ready; see run() */
    size_t n_written;
    size_t write_upto;

    int fd;
    struct fd_state *next; /* on that list */
};

/* What became of one piece of work for a client. */
enum outcome {
    GO_ON,   /* done, and perhaps there is more to do: nobody will tell us, we must ask */
    BLOCKED, /* the kernel said EAGAIN: when that changes, it tells us */
    OVER     /* all is said, or the client is gone: close */
};

static struct fd_state *
alloc_fd_state(int fd)
{
    struct fd_state *state = malloc(sizeof(*state));

    if (!state)
        return NULL;
    state->buffer_used = state->n_written = state->write_upto = 0;
    state->writing = state->at_eof = state->listed = 0;
    state->fd = fd;
    state->next = NULL;
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

/* Sends what can be sent, in one call. */
static enum outcome
do_write(int fd, struct fd_state *state)
{
    ssize_t result = send(fd, state->buffer + state->n_written,
                          state->write_upto - state->n_written, 0);

    if (result < 0 && errno == EAGAIN)
        return BLOCKED;
    if (result < 0 && errno != EINTR)
        return OVER;
    if (result > 0)
        state->n_written += (size_t)result;

    state->writing = state->n_written < state->write_upto;
    if (state->writing)
        return GO_ON;

    /* The line that is not complete yet moves to the front, the rest is free. */
    state->buffer_used -= state->write_upto;
    memmove(state->buffer, state->buffer + state->write_upto, state->buffer_used);
    state->n_written = state->write_upto = 0;
    return state->at_eof ? OVER : GO_ON;
}

/* Reads what there is room for, in one call. */
static enum outcome
do_read(int fd, struct fd_state *state)
{
    char *new_bytes = state->buffer + state->buffer_used;
    size_t room = sizeof(state->buffer) - state->buffer_used;
    ssize_t result = recv(fd, new_bytes, room, 0);

    if (result < 0 && errno == EAGAIN)
        return BLOCKED;
    if (result < 0)
        return errno == EINTR ? GO_ON : OVER;

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

    state->writing = state->write_upto > 0;
    return state->at_eof && !state->writing ? OVER : GO_ON;
}

/* ======================= the table of clients ======================= */

/* By descriptor, as far as there has been one: it grows, and there is no limit. */
struct table {
    struct fd_state **state; /* NULL where nobody is */
    int size;
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

    struct fd_state **state =
        realloc(table->state, (size_t)size * sizeof(struct fd_state *));
    if (!state)
        return -1;
    for (int i = table->size; i < size; ++i)
        state[i] = NULL;
    table->state = state;
    table->size = size;
    return 0;
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

/* Tells the kernel, once and for all, that we want to hear of every change on FD. */
static int
watch(int epfd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.fd = fd};

    return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event);
}

/*
 * Takes one client in.  Returns BLOCKED when there is no other in the backlog, OVER,
 * having said why, when there is no place for it: it stays in the backlog.
 */
static enum outcome
do_accept(int epfd, int listener, struct table *table)
{
    int fd = accept(listener, NULL, NULL);

    if (fd < 0) {
        if (errno == EAGAIN)
            return BLOCKED;
        if (errno == EINTR || errno == ECONNABORTED)
            return GO_ON;
        complain("accept");
        return OVER;
    }

    if (make_nonblocking(fd) < 0 || make_room(table, fd) < 0 ||
        !(table->state[fd] = alloc_fd_state(fd))) {
        complain("new client");
        close(fd);
    } else if (watch(epfd, fd) < 0) {
        complain("new client");
        free_fd_state(table->state[fd]);
        table->state[fd] = NULL;
        close(fd);
    }
    return GO_ON;
}

static int
run(const struct addrinfo *where)
{
    struct table table = {NULL, 0};
    struct epoll_event events[MAX_EVENTS];
    int stop_ends[2];
    time_t accept_failed = 0; /* when it last failed: do not try again in that second */
    int backlog = 0;          /* somebody may be in the backlog */
    struct fd_state *listed = NULL;
    char name[80];

    if (pipe(stop_ends) < 0) {
        complain("cannot start");
        return 1;
    }
    stop_pipe = stop_ends[1];

    int listener = open_listener(where, name, sizeof(name));
    if (listener < 0) {
        close(stop_ends[0]);
        close(stop_ends[1]);
        return 1;
    }

    int epfd = epoll_create1(EPOLL_CLOEXEC);
    if (epfd < 0 || make_nonblocking(listener) < 0 || watch(epfd, stop_ends[0]) < 0 ||
        watch(epfd, listener) < 0 || handle_signals() < 0 ||
        printf("%s: listening on %s\n", program, name) < 0 || fflush(stdout) == EOF) {
        complain("cannot start");
        if (epfd >= 0)
            close(epfd);
        close(listener);
        close(stop_ends[0]);
        close(stop_ends[1]);
        return 1;
    }

    /*
     * An edge is told once.  Whoever was told of, and did not get as far as EAGAIN,
     * is on a list of our own: the clients on it get one piece of work each time
     * round, so that none keeps the others waiting.  While there is work left,
     * epoll_wait() only looks what is new, and does not wait.
     */
    while (stop_pipe >= 0) {
        int accepting = time(NULL) != accept_failed;
        int wait = listed || (backlog && accepting) ? 0 : accepting ? -1 : 1000;
        int ready = epoll_wait(epfd, events, MAX_EVENTS, wait);
        if (ready < 0) {
            if (errno != EINTR)
                complain("epoll_wait");
            continue;
        }

        for (int i = 0; i < ready; ++i) {
            int fd = events[i].data.fd;

            if (fd == listener) {
                backlog = 1;
            } else if (fd != stop_ends[0] && !table.state[fd]->listed) {
                table.state[fd]->listed = 1;
                table.state[fd]->next = listed;
                listed = table.state[fd];
            }
        }

        if (backlog && accepting) {
            enum outcome outcome = do_accept(epfd, listener, &table);

            backlog = outcome != BLOCKED;
            if (outcome == OVER)
                accept_failed = time(NULL);
        }

        struct fd_state **link = &listed; /* what points to the client whose turn it is */
        while (*link) {
            struct fd_state *state = *link;
            int fd = state->fd;
            enum outcome outcome =
                state->writing ? do_write(fd, state) : do_read(fd, state);

            if (outcome == GO_ON) {
                link = &state->next;
                continue;
            }
            *link = state->next;
            state->listed = 0;
            if (outcome == OVER) {
                free_fd_state(state);
                table.state[fd] = NULL;
                close(fd);         /* the kernel forgets it, too */
                accept_failed = 0; /* there is a place again */
            }
        }
    }

    for (int fd = 0; fd < table.size; ++fd)
        if (table.state[fd]) {
            free_fd_state(table.state[fd]);
            close(fd);
        }
    free(table.state);
    close(epfd);
    close(listener);
    close(stop_ends[0]);
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
