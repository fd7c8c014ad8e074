/*
 * floor: the least that an epoll loop can do.  Receive, rotate, send.
 *
 * This is a yardstick, NOT a server, and nobody should run it as one: one client
 * that does not read its replies stops it for all the others, it knows nothing of
 * lines, it has no limits, and where an error has no consequence for a measurement
 * it is not looked at.  All that it is good for is to be measured beside a real
 * server: what the server needs more than the floor is the price of being right.
 *
 *     floor [PORT [ADDRESS]]       defaults 40713 and 127.0.0.1
 *
 * Linux only, for epoll.
 */
#include "rot13.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* The sockets block.  For recv() that makes no difference, epoll has said that there
 * is something to receive; for send() it saves all the work of coming back later. */
static void
serve(int fd)
{
    static char buf[65536];
    ssize_t n = recv(fd, buf, sizeof(buf), 0);
    if (n <= 0) {
        close(fd);
        return;
    }
    rot13(buf, (size_t)n);
    for (ssize_t sent = 0; sent < n;) {
        ssize_t result = send(fd, buf + sent, (size_t)(n - sent), 0);
        if (result < 0) {
            close(fd);
            return;
        }
        sent += result;
    }
}

static int
listen_on(const char *port, const char *address)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *ai;
    int error = getaddrinfo(address, port, &hints, &ai);
    if (error != 0) {
        fprintf(stderr, "floor: %s port %s: %s\n", address, port, gai_strerror(error));
        return -1;
    }
    int one = 1;
    int listener = socket(ai->ai_family, SOCK_STREAM, 0);
    if (listener < 0 ||
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(listener, ai->ai_addr, ai->ai_addrlen) < 0 ||
        listen(listener, SOMAXCONN) < 0) {
        fprintf(stderr, "floor: %s port %s: %s\n", address, port, strerror(errno));
        listener = -1;
    }
    freeaddrinfo(ai);
    return listener;
}

static int
announce(int listener)
{
    struct sockaddr_storage ss;
    socklen_t slen = sizeof(ss);
    char host[64], port[16];
    if (getsockname(listener, (struct sockaddr *)&ss, &slen) < 0 ||
        getnameinfo((struct sockaddr *)&ss, slen, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return -1;
    fprintf(stderr, "floor: a yardstick for measurements: do not run it as a server\n");
    const char *form = ss.ss_family == AF_INET6 ? "[%s]:%s\n" : "%s:%s\n";
    fputs("floor: listening on ", stdout);
    printf(form, host, port);
    return fflush(stdout);
}

int
main(int argc, char **argv)
{
    if (argc > 3 || (argc > 1 && argv[1][0] == '-')) {
        fprintf(stderr, "usage: floor [PORT [ADDRESS]]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int listener =
        listen_on(argc > 1 ? argv[1] : "40713", argc > 2 ? argv[2] : "127.0.0.1");
    if (listener < 0)
        return 1;
    int ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener};
    if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev) < 0 || announce(listener)) {
        perror("floor");
        return 1;
    }

    while (1) {
        struct epoll_event events[512];
        int n = epoll_wait(ep, events, 512, -1);
        for (int i = 0; i < n; ++i) {
            if (events[i].data.fd != listener) {
                serve(events[i].data.fd);
                continue;
            }
            int fd = accept(listener, NULL, NULL);
            if (fd < 0) {
                /* Out of descriptors, it would spin: better none at all. */
                perror("floor: accept");
                return 1;
            }
            ev.data.fd = fd;
            epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
        }
    }
}
