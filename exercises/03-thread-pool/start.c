/*
 * Exercise 03, a pool of threads: where you start.
 *
 * This is the solution of exercise 02, to the letter: a thread is made for each
 * client and ends with it.  Make POOL_SIZE threads once, and let them serve one
 * client after another.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../rot13.h"

#define MAX_LINE  16384 /* the longest line that is answered whole, newline counted */
#define POOL_SIZE 8     /* the threads, and so the clients that are served at once */

static const char program[] = "pool-server";

static volatile sig_atomic_t listening_on = -1; /* the listener; stop() closes it */

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

/*
 * Says in one line what went wrong, and errno says why.  At most one line a
 * second: what goes wrong once can go wrong ten thousand times.  Only the main
 * thread may call it: threads share the static variable, and strerror()'s text.
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

/* How many of these bytes belong to complete lines. */
static size_t
complete_lines(const char *buf, size_t len)
{
    while (len > 0 && buf[len - 1] != '\n')
        --len;
    return len;
}

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

/* Serves one client to the end, in a thread of its own. */
static void
child(int fd)
{
    char outbuf[MAX_LINE];
    size_t outbuf_used = 0; /* the start of a line whose newline has not come yet */

    while (1) {
        char *new_bytes = outbuf + outbuf_used;
        ssize_t result = recv(fd, new_bytes, sizeof(outbuf) - outbuf_used, 0);

        if (result == 0)
            break;
        if (result < 0) {
            if (errno == EINTR)
                continue;
            return;
        }

        size_t lines = complete_lines(new_bytes, (size_t)result);
        size_t write_upto = lines > 0 ? outbuf_used + lines : 0;

        rot13(new_bytes, (size_t)result);
        outbuf_used += (size_t)result;
        /* A line longer than the buffer is passed on in pieces. */
        if (outbuf_used == sizeof(outbuf) && write_upto == 0)
            write_upto = outbuf_used;

        if (send_all(fd, outbuf, write_upto) < 0)
            return;
        /* The line that is not complete yet moves to the front, the rest is free. */
        outbuf_used -= write_upto;
        memmove(outbuf, outbuf + write_upto, outbuf_used);
    }

    /* No newline will come any more: answer the rest as it stands. */
    send_all(fd, outbuf, outbuf_used);
}

/* ======================= the threads ======================= */

struct client {
    int fd;
    pthread_t thread;
    struct server *server;
    struct client *prev, *next;
};

struct server {
    pthread_mutex_t lock;   /* whoever uses what stands below must hold it */
    struct client *clients; /* those that have a thread now */
    int stopping;           /* from now on the main thread takes clients off the list */
};

/* What each thread runs. */
static void *
client_thread(void *arg)
{
    struct client *client = arg;
    struct server *server = client->server;

    child(client->fd);

    pthread_mutex_lock(&server->lock);
    if (server->stopping) {
        pthread_mutex_unlock(&server->lock);
        return NULL; /* the main thread waits for us, and tidies up */
    }
    if (client->prev)
        client->prev->next = client->next;
    else
        server->clients = client->next;
    if (client->next)
        client->next->prev = client->prev;
    /* Off the list first, then closed: the number may be another client's at once. */
    close(client->fd);
    pthread_detach(client->thread); /* nobody will ask how it ended */
    pthread_mutex_unlock(&server->lock);
    free(client);
    return NULL;
}

/* Gives the client a thread.  Returns 0, or an error number: then the caller keeps FD. */
static int
add_client(struct server *server, int fd)
{
    struct client *client = malloc(sizeof(*client));

    if (!client)
        return ENOMEM;
    *client = (struct client){.fd = fd, .server = server};

    /* The thread may be done before pthread_create() returns: it has to wait until
     * it stands in the list. */
    pthread_mutex_lock(&server->lock);
    int error = pthread_create(&client->thread, NULL, client_thread, client);
    if (error == 0) {
        client->next = server->clients;
        if (client->next)
            client->next->prev = client;
        server->clients = client;
    }
    pthread_mutex_unlock(&server->lock);
    if (error != 0)
        free(client);
    return error;
}

/* Hangs up on everybody and waits for their threads to end. */
static void
end_clients(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    server->stopping = 1;
    /* Not close(): a thread may be waiting in recv() or send(), and would go on
     * waiting.  After this both return at once. */
    for (struct client *client = server->clients; client; client = client->next)
        shutdown(client->fd, SHUT_RDWR);
    pthread_mutex_unlock(&server->lock);

    while (server->clients) {
        struct client *client = server->clients;

        pthread_join(client->thread, NULL);
        server->clients = client->next;
        close(client->fd);
        free(client);
    }
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

static int
run(const struct addrinfo *where)
{
    struct server server = {.lock = PTHREAD_MUTEX_INITIALIZER};
    sigset_t signals; /* those that have a handler */
    char name[80];

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);

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
                sleep(1); /* new clients have to wait */
            }
            continue;
        }

        /* A thread inherits what is blocked.  So a signal always comes to the main
         * thread, and wakes it in accept(); another's recv() it would not. */
        pthread_sigmask(SIG_BLOCK, &signals, NULL);
        errno = add_client(&server, fd);
        if (errno != 0) {
            complain("new thread");
            close(fd); /* this client is turned away, the others are served */
        }
        pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
    }

    end_clients(&server);
    pthread_mutex_destroy(&server.lock);
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
