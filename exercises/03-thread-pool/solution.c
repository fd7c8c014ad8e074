/*
 * Exercise 03, a pool of threads: a solution.
 *
 * No thread is made or ended while clients come and go, and no list grows: one
 * struct for each thread is all there is.  It also serves no more than POOL_SIZE
 * clients at once, whether they say something or not.
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

/*
 * Says in one line what went wrong, and errno says why.  At most one line a
 * second: what goes wrong once can go wrong ten thousand times.  Any thread may
 * call it, so the static variable has a lock of its own.
 */
static void
complain(const char *what)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static time_t last;
    time_t now = time(NULL);
    int error = errno;

    pthread_mutex_lock(&lock);
    if (now != last)
        fprintf(stderr, "%s: %s: %s\n", program, what, strerror(error));
    last = now;
    pthread_mutex_unlock(&lock);
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

/* Serves one client to the end, in whatever thread has time. */
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

/* ======================= the pool ======================= */

struct worker {
    pthread_t thread;
    int fd; /* the client that it serves, -1: none */
    struct pool *pool;
};

struct pool {
    int listener;
    pthread_mutex_t lock; /* whoever uses what stands below must hold it */
    int stopping;         /* no client is served any more */
    struct worker worker[POOL_SIZE];
};

/* Takes a client.  Returns 0 when the server stops: then the client is not taken. */
static int
take(struct worker *worker, int fd)
{
    struct pool *pool = worker->pool;

    pthread_mutex_lock(&pool->lock);
    int stopping = pool->stopping;
    if (!stopping)
        worker->fd = fd;
    pthread_mutex_unlock(&pool->lock);
    return !stopping;
}

/*
 * What each thread runs.  They all wait in accept() for the same listener, and the
 * kernel gives each client to one of them.  When none is waiting the client stays
 * in the backlog: that is the queue, and we need none of our own.
 */
static void *
work(void *arg)
{
    const struct timespec half_a_second = {0, 500000000};
    struct worker *worker = arg;

    while (1) {
        int fd = accept(worker->pool->listener, NULL, NULL);
        int error = errno;

        if (!take(worker, fd)) {
            if (fd >= 0)
                close(fd);
            return NULL;
        }
        if (fd >= 0) {
            child(fd);
            /* Forgotten first, then closed: the number may be another client's at once.
             */
            take(worker, -1);
            close(fd);
        } else if (error != EINTR && error != ECONNABORTED) {
            errno = error;
            complain("accept");
            nanosleep(&half_a_second, NULL); /* new clients have to wait */
        }
    }
}

/* Starts the threads.  Returns how many there are; fewer than POOL_SIZE: errno says why.
 */
static int
start_pool(struct pool *pool)
{
    for (int i = 0; i < POOL_SIZE; ++i) {
        struct worker *worker = &pool->worker[i];

        worker->fd = -1;
        worker->pool = pool;
        errno = pthread_create(&worker->thread, NULL, work, worker);
        if (errno != 0)
            return i;
    }
    return POOL_SIZE;
}

/* Hangs up on everybody and waits for the N threads to end. */
static void
end_pool(struct pool *pool, int n)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = 1;
    /* Not close(): a thread may be waiting in accept(), recv() or send(), and would
     * go on waiting.  After this they return at once; on a listener this is so on
     * Linux, POSIX does not promise it. */
    shutdown(pool->listener, SHUT_RDWR);
    for (int i = 0; i < n; ++i)
        if (pool->worker[i].fd >= 0)
            shutdown(pool->worker[i].fd, SHUT_RDWR);
    pthread_mutex_unlock(&pool->lock);

    for (int i = 0; i < n; ++i)
        pthread_join(pool->worker[i].thread, NULL);
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

static int
run(const struct addrinfo *where)
{
    struct pool pool = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t signals; /* those that stop the server */
    char name[80];
    int signal_number;

    /* Blocked in this thread and in those that it makes: a signal waits until
     * somebody asks for it.  No handler, and no moment at which it could be lost. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);

    pool.listener = open_listener(where, name, sizeof(name));
    if (pool.listener < 0)
        return 1;

    /* SIGPIPE would end us for a client's sake. */
    if (sigaction(SIGPIPE, &ignore, NULL) < 0 ||
        pthread_sigmask(SIG_BLOCK, &signals, NULL) != 0 ||
        printf("%s: listening on %s\n", program, name) < 0 || fflush(stdout) == EOF) {
        complain("cannot start");
        close(pool.listener);
        return 1;
    }

    int n_threads = start_pool(&pool);
    if (n_threads == POOL_SIZE)
        sigwait(&signals, &signal_number); /* the others do the work */
    else
        complain("cannot start a thread");

    end_pool(&pool, n_threads);
    pthread_mutex_destroy(&pool.lock);
    close(pool.listener);
    return n_threads == POOL_SIZE ? 0 : 1;
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
