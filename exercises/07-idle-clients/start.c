/*
 * Exercise 7, where to start: stage 05, and a time that nothing heeds yet.
 *
 * Article: "A low-level ROT13 server with Libevent".
 *
 * A client that says nothing for ten seconds is to be told goodbye.  At the
 * moment it may stay for ever, and keep its descriptor.
 *
 * New since stage 05: idle_time in struct server.  The environment's
 * IDLE_SECONDS sets it, so that nobody has to wait ten seconds to see it work.
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
#include <time.h>

#include <event2/event.h>

#include "../../rot13.h"

#define MAX_LINE 16384 /* the longest line that is answered whole, newline counted */

static const char program[] = "idle-clients";
static const struct timeval one_second = {1, 0};

struct server {
    struct event_base *base;
    struct event *listener_event;
    struct event *retry_event; /* accept() has failed, and it is time to try again */
    struct event *sigint_event, *sigterm_event;
    struct fd_state *clients; /* all of them, to be freed at the end */
    struct timeval idle_time; /* how long a client may say nothing */
};

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

/* Takes clients in again: one has left, or a second has passed. */
static void
resume_accept(evutil_socket_t fd, short events, void *arg)
{
    struct server *server = arg;

    (void)fd;
    (void)events;
    if (event_add(server->listener_event, NULL) < 0)
        event_add(server->retry_event, &one_second);
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

    int at_eof; /* the client will send no more */
    size_t n_written;
    size_t write_upto;

    struct event *read_event;  /* added while we wait for the client to speak, */
    struct event *write_event; /* or this, while a reply waits to be sent */

    struct server *server;
    struct fd_state *next, *previous; /* in the list of clients */
};

static void do_read(evutil_socket_t fd, short events, void *arg);
static void do_write(evutil_socket_t fd, short events, void *arg);

static struct fd_state *
alloc_fd_state(struct server *server, evutil_socket_t fd)
{
    struct fd_state *state = malloc(sizeof(*state));

    if (!state)
        return NULL;
    state->read_event = event_new(server->base, fd, EV_READ | EV_PERSIST, do_read, state);
    if (!state->read_event) {
        free(state);
        return NULL;
    }
    state->write_event =
        event_new(server->base, fd, EV_WRITE | EV_PERSIST, do_write, state);
    if (!state->write_event) {
        event_free(state->read_event);
        free(state);
        return NULL;
    }

    state->buffer_used = state->n_written = state->write_upto = 0;
    state->at_eof = 0;

    state->server = server;
    state->previous = NULL;
    state->next = server->clients;
    if (state->next)
        state->next->previous = state;
    server->clients = state;
    return state;
}

/* Ends the connection.  A client that waits in the backlog may now have its place. */
static void
free_fd_state(struct fd_state *state)
{
    evutil_socket_t fd = event_get_fd(state->read_event);

    if (state->next)
        state->next->previous = state->previous;
    if (state->previous)
        state->previous->next = state->next;
    else
        state->server->clients = state->next;
    resume_accept(-1, EV_TIMEOUT, state->server); /* as if the second had passed */

    event_free(state->read_event);
    event_free(state->write_event);
    evutil_closesocket(fd);
    free(state);
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
static void
do_write(evutil_socket_t fd, short events, void *arg)
{
    struct fd_state *state = arg;
    ssize_t result = send(fd, state->buffer + state->n_written,
                          state->write_upto - state->n_written, 0);

    (void)events;
    if (result < 0 && errno != EAGAIN && errno != EINTR) {
        free_fd_state(state);
        return;
    }
    if (result > 0)
        state->n_written += (size_t)result;

    if (state->n_written < state->write_upto) {
        /* The socket is full.  Until it takes more, read nothing more. */
        if (event_del(state->read_event) < 0 || event_add(state->write_event, NULL) < 0)
            free_fd_state(state);
        return;
    }

    /* The line that is not complete yet moves to the front, the rest is free. */
    state->buffer_used -= state->write_upto;
    memmove(state->buffer, state->buffer + state->write_upto, state->buffer_used);
    state->n_written = state->write_upto = 0;

    /* To add what is added already, or to delete what is not, does no harm. */
    if (state->at_eof || event_del(state->write_event) < 0 ||
        event_add(state->read_event, NULL) < 0)
        free_fd_state(state);
}

/*
 * Reads what there is room for, in one call, and answers at once as far as the
 * socket takes it.
 */
static void
do_read(evutil_socket_t fd, short events, void *arg)
{
    struct fd_state *state = arg;
    char *new_bytes = state->buffer + state->buffer_used;
    size_t room = sizeof(state->buffer) - state->buffer_used;
    ssize_t result = recv(fd, new_bytes, room, 0);

    (void)events;
    if (result < 0) {
        if (errno != EAGAIN && errno != EINTR)
            free_fd_state(state);
        return;
    }

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

    if (state->write_upto > 0)
        do_write(fd, EV_WRITE, state);
    else if (state->at_eof)
        free_fd_state(state);
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
static evutil_socket_t
open_listener(const struct addrinfo *where, char *name, size_t size)
{
    const int one = 1;
    struct sockaddr_storage ss;
    socklen_t slen = sizeof(ss);
    evutil_socket_t listener = socket(where->ai_family, SOCK_STREAM, 0);

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
            evutil_closesocket(listener);
        return -1;
    }

    format_address(name, size, (struct sockaddr *)&ss, slen);
    return listener;
}

/* Takes one client in, or, when there is no place for it, leaves it in the backlog. */
static void
do_accept(evutil_socket_t listener, short events, void *arg)
{
    struct server *server = arg;
    evutil_socket_t fd = accept(listener, NULL, NULL);

    (void)events;
    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
            /* Out of descriptors: the backlog has to wait.  See resume_accept(). */
            complain("accept");
            event_del(server->listener_event);
            event_add(server->retry_event, &one_second); /* cannot fail: see run() */
        }
        return;
    }

    struct fd_state *state = NULL;

    if (evutil_make_socket_nonblocking(fd) < 0 || !(state = alloc_fd_state(server, fd))) {
        complain("new client");
        evutil_closesocket(fd);
    } else if (event_add(state->read_event, NULL) < 0) {
        complain("new client");
        free_fd_state(state);
    }
}

/* A signal is an event like any other: no handler, no flag. */
static void
stop(evutil_socket_t signal_number, short events, void *arg)
{
    struct server *server = arg;

    (void)signal_number;
    (void)events;
    event_base_loopbreak(server->base);
}

static int
run(const struct addrinfo *where, int idle_seconds)
{
    struct server server = {.idle_time = {idle_seconds, 0}};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t signals;
    char name[80];
    int status = 1;

    evutil_socket_t listener = open_listener(where, name, sizeof(name));
    if (listener < 0)
        return 1;

    /* What complain() says if a libevent function finds no memory and sets no errno. */
    errno = ENOMEM;
    if (!(server.base = event_base_new()) ||
        !(server.listener_event = event_new(server.base, listener, EV_READ | EV_PERSIST,
                                            do_accept, &server)) ||
        !(server.retry_event = evtimer_new(server.base, resume_accept, &server)) ||
        !(server.sigint_event = evsignal_new(server.base, SIGINT, stop, &server)) ||
        !(server.sigterm_event = evsignal_new(server.base, SIGTERM, stop, &server)) ||
        evutil_make_socket_nonblocking(listener) < 0 ||
        event_add(server.listener_event, NULL) < 0 ||
        /* The first timer needs memory: take it now, not when accept() has failed.
         * It goes off once, and adds the listener, which is added already. */
        event_add(server.retry_event, &one_second) < 0 ||
        event_add(server.sigint_event, NULL) < 0 ||
        event_add(server.sigterm_event, NULL) < 0 ||
        sigaction(SIGPIPE, &ignore, NULL) < 0 || /* it would end us for a client's sake */
        printf("%s: listening on %s using %s\n", program, name,
               event_base_get_method(server.base)) < 0 ||
        fflush(stdout) == EOF) {
        complain("cannot start");
    } else if (event_base_dispatch(server.base) < 0) {
        complain("cannot wait for events");
    } else {
        status = 0;
    }

    /* To free a signal's event gives the signal back the action it had, as a rule to end
     * the program: block them, or a second Ctrl-C would end us half way. */
    sigfillset(&signals);
    sigprocmask(SIG_BLOCK, &signals, NULL);

    while (server.clients)
        free_fd_state(server.clients);
    if (server.sigterm_event)
        event_free(server.sigterm_event);
    if (server.sigint_event)
        event_free(server.sigint_event);
    if (server.retry_event)
        event_free(server.retry_event);
    if (server.listener_event)
        event_free(server.listener_event);
    if (server.base)
        event_base_free(server.base);
    evutil_closesocket(listener);
    libevent_global_shutdown();
    return status;
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

    /* Who tries this out, or tests it, does not want to wait ten seconds. */
    const char *idle_seconds = getenv("IDLE_SECONDS");
    if (!idle_seconds)
        idle_seconds = "10";
    if (atoi(idle_seconds) < 1 || atoi(idle_seconds) > 3600)
        return usage("IDLE_SECONDS is a number from 1 to 3600, not", idle_seconds);

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

    int status = run(where, atoi(idle_seconds));
    freeaddrinfo(where);
    return status;
}
