/*
 * select-reader: reads from several connections, waiting for all of them at once.
 *
 * Article: the fragment on select().
 *
 * It prints whatever comes first, whoever says it, and sleeps in between: see
 * what top says of it now.
 *
 * New since nonblocking-reader (stage 03): select() says who has something, and
 * only those are asked.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_SOCKETS 100

static const char program[] = "select-reader";

/* Connects to a port of 127.0.0.1, and ends the program if that fails. */
static int
connect_to(const char *port)
{
    const struct sockaddr_in sin = {.sin_family = AF_INET,
                                    .sin_port = htons((in_port_t)atoi(port)),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)&sin, sizeof(sin)) < 0) {
        fprintf(stderr, "%s: connect to 127.0.0.1:%s: %s\n", program, port,
                strerror(errno));
        exit(1);
    }
    return fd;
}

static int
make_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* Prints what has come in on connection I, at once. */
static void
handle_input(int i, const char *buf, size_t len)
{
    printf("[%d] ", i);
    fwrite(buf, 1, len, stdout);
    if (buf[len - 1] != '\n')
        putchar('\n');
    if (fflush(stdout) == EOF) {
        fprintf(stderr, "%s: stdout: %s\n", program, strerror(errno));
        exit(1);
    }
}

int
main(int argc, char **argv)
{
    int fd[MAX_SOCKETS]; /* -1: this connection has ended */
    int n_sockets = argc - 1;
    int n_open = n_sockets;
    char buf[1024];

    if (n_sockets < 1 || n_sockets > MAX_SOCKETS) {
        fprintf(stderr, "usage: %s PORT..., 1 to %d of them\n", program, MAX_SOCKETS);
        return 2;
    }
    for (int i = 0; i < n_sockets; ++i) {
        const char *port = argv[i + 1];

        if (port[strspn(port, "0123456789")] != '\0' || strlen(port) > 5 ||
            atoi(port) < 1 || atoi(port) > 65535) {
            fprintf(stderr, "%s: a port is a number from 1 to 65535, not '%s'\n", program,
                    port);
            return 2;
        }
    }
    for (int i = 0; i < n_sockets; ++i)
        fd[i] = connect_to(argv[i + 1]);
    for (int i = 0; i < n_sockets; ++i) {
        if (fd[i] >= FD_SETSIZE) {
            fprintf(stderr, "%s: select() cannot watch descriptor %d\n", program, fd[i]);
            return 1;
        }
        if (make_nonblocking(fd[i]) < 0) {
            fprintf(stderr, "%s: make port %s non-blocking: %s\n", program, argv[i + 1],
                    strerror(errno));
            return 1;
        }
    }

    while (n_open > 0) {
        fd_set readset;
        int maxfd = -1;

        FD_ZERO(&readset);
        for (int i = 0; i < n_sockets; ++i) {
            if (fd[i] < 0)
                continue;
            if (fd[i] > maxfd)
                maxfd = fd[i];
            FD_SET(fd[i], &readset);
        }

        if (select(maxfd + 1, &readset, NULL, NULL, NULL) < 0) {
            fprintf(stderr, "%s: select: %s\n", program, strerror(errno));
            return 1;
        }

        for (int i = 0; i < n_sockets; ++i) {
            if (fd[i] < 0 || !FD_ISSET(fd[i], &readset))
                continue;

            ssize_t n = recv(fd[i], buf, sizeof(buf), 0);

            if (n < 0 && errno == EAGAIN)
                continue; /* nothing after all */
            if (n <= 0) {
                if (n < 0)
                    fprintf(stderr, "%s: [%d] %s\n", program, i, strerror(errno));
                close(fd[i]);
                fd[i] = -1;
                --n_open;
            } else {
                handle_input(i, buf, (size_t)n);
            }
        }
    }

    return 0;
}
