/*
 * blocking-client: fetches one page over HTTP, with calls that wait.
 *
 * Article: "A simple blocking HTTP client".
 *
 * Four calls here can wait: getaddrinfo() for the name server, connect() for
 * the other side to answer, send() for room in the kernel's buffer, recv() for
 * something to arrive.  While one of them waits, the program does nothing else;
 * as long as there is nothing else to do, that is just right.
 *
 * To look for: strace -T shows the time that each call took.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char program[] = "blocking-client";

/*
 * Connects to the first address of HOST that accepts; a name can have several,
 * IPv6 and IPv4.  Returns -1 if there is none, having said why.
 */
static int
connect_to(const char *host, const char *port)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICSERV,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses;
    int fd = -1;

    int error = getaddrinfo(host, port, &hints, &addresses);
    if (error != 0) {
        fprintf(stderr, "%s: look up %s port %s: %s\n", program, host, port,
                error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
        return -1;
    }

    for (struct addrinfo *a = addresses; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
            error = errno;
            close(fd);
            fd = -1;
            errno = error;
        }
    }
    if (fd < 0) /* errno is the last address's */
        fprintf(stderr, "%s: connect to %s port %s: %s\n", program, host, port,
                strerror(errno));

    freeaddrinfo(addresses);
    return fd;
}

/* Sends all of it: send() may take a part only.  Returns -1 on error. */
static int
send_all(int fd, const char *cp, size_t remaining)
{
    while (remaining > 0) {
        ssize_t n_written = send(fd, cp, remaining, 0);

        if (n_written < 0)
            return -1;
        remaining -= (size_t)n_written;
        cp += n_written;
    }
    return 0;
}

/* Sends the query and copies the answer to stdout.  Returns -1 having said why. */
static int
fetch(int fd, const char *query)
{
    char buf[16384];
    ssize_t result;

    if (send_all(fd, query, strlen(query)) < 0) {
        fprintf(stderr, "%s: send: %s\n", program, strerror(errno));
        return -1;
    }

    /* HTTP/1.0: the server closes the connection when it has sent all. */
    while ((result = recv(fd, buf, sizeof(buf), 0)) > 0)
        if (fwrite(buf, 1, (size_t)result, stdout) != (size_t)result)
            break;
    if (result < 0) {
        fprintf(stderr, "%s: recv: %s\n", program, strerror(errno));
        return -1;
    }
    if (result > 0 || fflush(stdout) == EOF) {
        fprintf(stderr, "%s: stdout: %s\n", program, strerror(errno));
        return -1;
    }
    return 0;
}

int
main(int argc, char **argv)
{
    const char *host = argc > 1 ? argv[1] : "www.example.com";
    const char *port = argc > 2 ? argv[2] : "80";
    const char *path = argc > 3 ? argv[3] : "/";
    char query[4096];

    if (argc > 4 || host[0] == '-' || port[strspn(port, "0123456789")] != '\0' ||
        strlen(port) > 5 || atoi(port) < 1 || atoi(port) > 65535 || path[0] != '/' ||
        strpbrk(path, " \r\n")) {
        fprintf(stderr,
                "usage: %s [HOST [PORT [PATH]]], PORT is a number from 1 to 65535,"
                " PATH begins with / and has no space\n",
                program);
        return 2;
    }

    int is_ipv6 = strchr(host, ':') != NULL; /* a bare ::1 is written [::1] there */
    int len = snprintf(query, sizeof(query), "GET %s HTTP/1.0\r\nHost: %s%s%s:%s\r\n\r\n",
                       path, is_ipv6 ? "[" : "", host, is_ipv6 ? "]" : "", port);
    if (len < 0 || (size_t)len >= sizeof(query)) {
        fprintf(stderr, "%s: HOST and PATH together: more than %zu bytes\n", program,
                sizeof(query));
        return 2;
    }

    /* A server that hangs up is an error of send(), not the end of us. */
    signal(SIGPIPE, SIG_IGN);

    int fd = connect_to(host, port);
    if (fd < 0)
        return 1;

    int status = fetch(fd, query);
    close(fd);
    return status < 0 ? 1 : 0;
}
