/*
 * blocking-reader: reads from several connections in turn, with calls that wait.
 *
 * Article: the fragment "This won't work".
 *
 * And it does not: as long as the first connection says nothing, recv() waits
 * for it, and what the others said long ago is not printed.  Start two
 * listeners (nc -l 127.0.0.1 5001, nc -l 127.0.0.1 5002), read from both
 * (./blocking-reader 5001 5002), and type into the second.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_SOCKETS 100

static const char program[] = "blocking-reader";

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

    while (n_open > 0) {
        for (int i = 0; i < n_sockets; ++i) {
            if (fd[i] < 0)
                continue;

            ssize_t n = recv(fd[i], buf, sizeof(buf), 0); /* waits here */

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
