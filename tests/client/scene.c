/* rot13-client scene: a little play, step by step. */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

#define CAST 64

static struct conn cast[CAST];
static size_t cast_len;

enum verb {
    CONNECTS,
    CONNECTS_NARROWLY,
    ACCEPTS,
    HALF_CLOSES,
    CLOSES,
    RESETS,
    IS_TURNED_AWAY,
    HEARS_NOTHING,
    HEARS_THE_END,
    HEARS_ALL_OF_IT,
    SENDS_UNTIL_STUCK,
    LISTENS,
    SENDS_URGENTLY,
    SENDS,
    HEARS,
    NO_VERB
};

/* A blank at the end: a text follows. The first that fits is it. */
static const char *const verbs[] = {"connects",
                                    "connects narrowly",
                                    "accepts",
                                    "half-closes",
                                    "closes",
                                    "resets",
                                    "is turned away",
                                    "hears nothing",
                                    "hears the end",
                                    "hears all of it",
                                    "sends until stuck",
                                    "listens on ",
                                    "sends urgently ",
                                    "sends ",
                                    "hears "};

/* For a program that connects, as the readers do: the other side of it. */
static void
listen_on(struct conn *c, const struct bytes *text)
{
    struct sockaddr_in here = {.sin_family = AF_INET,
                               .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char digits[6] = "";
    int one = 1;
    memcpy(digits, text->at, least(text->len, sizeof digits - 1));
    here.sin_port = htons((in_port_t)atoi(digits));
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || setsockopt(c->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(c->fd, (struct sockaddr *)&here, sizeof here) < 0 || listen(c->fd, 1) < 0)
        die(1, "%s: %s", c->step, strerror(errno));
}

/* The first who calls; nobody else after that. */
static void
accept_one(struct conn *c)
{
    int listener = c->fd, one = 1;
    if (!wait_for(listener, POLLIN, now() + opt.patience))
        broken(c, NULL, 0, 0, "a connection", silence());
    c->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (c->fd < 0 || setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0)
        broken(c, NULL, 0, 0, "a connection", strerror(errno));
    close(listener);
}

static void
send_until_stuck(struct conn *c)
{
    const size_t bound = 64 << 20; // far more than all buffers on the way can hold
    int64_t until = now() + opt.patience, limit = now() + longest();
    c->unread = true;
    while (c->stuck < bound) {
        if (now() > limit)
            broken(c, NULL, 0, 0,
                   "that the server stops reading from one who does not read",
                   too_slow("reading"));
        size_t at = c->stuck % PERIOD;
        ssize_t n = send(c->fd, lines + at, least(PERIOD - at, bound - c->stuck), 0);
        if (n > 0) {
            note_sent(c, lines + at, (size_t)n);
            c->stuck += (size_t)n;
            until = now() + SECOND / 3;
        } else if (errno != EAGAIN && errno != EINTR) {
            broken(c, NULL, 0, 0, "that the connection stays open", strerror(errno));
        } else if (!wait_for(c->fd, POLLOUT, until)) {
            if (c->stuck == 0)
                broken(c, NULL, 0, 0, "that some bytes are taken", "no room to send");
            printf("%s was stuck after %zu bytes\n", c->name, c->stuck);
            return;
        }
    }
    broken(c, NULL, 0, 0, "that the server stops reading from one who does not read",
           "nothing was read; the server takes without bound");
}

static void
hear_all_of_it(struct conn *c)
{
    size_t rest = c->half_closed ? 0 : (32 - c->stuck % 32) % 32; // ends the last line
    append(&c->out, lines + c->stuck % PERIOD, rest);
    struct bytes expect = {0};
    for (size_t left = c->stuck + rest; left > 0; left -= least(left, PERIOD))
        append(&expect, lines_rotated, least(left, PERIOD));
    hear(c, expect.at, expect.len);
    free(expect.at);
    c->stuck = 0;
}

static void
hear_nothing(struct conn *c)
{
    char words[80];
    snprintf(words, sizeof words, "nothing for %g s, and no end of file",
             (double)opt.quiet / SECOND);
    c->unread = false;
    if (!c->in.len && !c->ended && wait_for(c->fd, POLLIN, now() + opt.quiet))
        receive(c, SIZE_MAX);
    if (c->in.len || c->ended)
        broken(c, NULL, 0, 0, words, c->ended);
}

static void
hear_end(struct conn *c, bool reset_too)
{
    const char *words = reset_too ? "end of file or reset" : "end of file";
    c->unread = false;
    if (!c->in.len && !c->ended && wait_for(c->fd, POLLIN, now() + opt.patience))
        receive(c, SIZE_MAX);
    if (c->in.len || !c->ended)
        broken(c, NULL, 0, 0, words, c->in.len ? c->ended : silence());
    if (strcmp(c->ended, "end of file") != 0 && !reset_too)
        broken(c, NULL, 0, 0, words, c->ended);
}

static void
play(struct conn *c, enum verb verb, const struct bytes *text)
{
    switch (verb) {
    case CONNECTS:
    case CONNECTS_NARROWLY:
        free(c->in.at);
        free(c->out.at);
        *c = (struct conn){.step = c->step, .name = c->name, .fd = -1};
        connect_now(c, verb == CONNECTS_NARROWLY);
        break;
    case LISTENS:
        listen_on(c, text);
        break;
    case ACCEPTS:
        accept_one(c);
        break;
    case HALF_CLOSES:
        c->half_closed = true;
        if (shutdown(c->fd, SHUT_WR) < 0)
            broken(c, NULL, 0, 0, "that the connection is open", strerror(errno));
        break;
    case CLOSES:
        close(c->fd);
        c->fd = -1;
        break;
    case RESETS:
        reset(c->fd);
        c->fd = -1;
        break;
    case IS_TURNED_AWAY:
        hear_end(c, true);
        break;
    case HEARS_NOTHING:
        hear_nothing(c);
        break;
    case HEARS_THE_END:
        hear_end(c, false);
        break;
    case HEARS_ALL_OF_IT:
        hear_all_of_it(c);
        break;
    case SENDS_UNTIL_STUCK:
        send_until_stuck(c);
        break;
    case SENDS_URGENTLY:
        send_all(cast, cast_len, c, text->at, text->len, MSG_OOB);
        break;
    case SENDS:
        send_all(cast, cast_len, c, text->at, text->len, 0);
        break;
    case HEARS:
        hear(c, text->at, text->len);
        break;
    case NO_VERB:
        break;
    }
}

static struct bytes
unescape(const char *step, const char *text)
{
    struct bytes b = {0};
    for (; *text; text++) {
        byte c = (byte)*text;
        if (c == '\\') {
            const char *name = "nrt0\\", *known = *++text ? strchr(name, *text) : NULL;
            if (known)
                c = (byte) "\n\r\t\0\\"[known - name];
            else if (*text == 'x' && isxdigit((byte)text[1]) && isxdigit((byte)text[2])) {
                char hex[3] = {text[1], text[2], 0};
                c = (byte)strtoul(hex, NULL, 16);
                text += 2;
            } else
                die(2, "%s: a \\ is followed by n, r, t, 0, \\ or xHH", step);
        }
        append(&b, &c, 1);
    }
    return b;
}

/* TEXT, "N times TEXT" or "file PATH" */
static struct bytes
read_text(const char *step, const char *text)
{
    long times = 1;
    int skip = 0;
    struct bytes b = {0};
    if (strncmp(text, "file ", 5) == 0) {
        FILE *f = fopen(text + 5, "rb");
        byte buf[65536];
        for (size_t n = 1; f && n > 0;) {
            n = fread(buf, 1, sizeof buf, f);
            append(&b, buf, n);
        }
        if (!f || ferror(f))
            die(2, "%s: %s: %s", step, text + 5, strerror(errno));
        fclose(f);
        return b;
    }
    if (sscanf(text, "%9ld times%n", &times, &skip) != 1 || text[skip] != ' ' ||
        skip++ == 0)
        times = 1, skip = 0;
    if (times < 1)
        die(2, "%s: once at least", step);
    struct bytes once = unescape(step, text + skip);
    while (times-- > 0)
        append(&b, once.at, once.len);
    free(once.at);
    return b;
}

int
do_scene(int argc, char **argv)
{
    struct step {
        struct conn *who;
        enum verb verb;
        struct bytes text;
    } *steps = must(calloc((size_t)argc, sizeof *steps));

    for (int i = 0; i < argc; i++) { // all must be understood before the first is done
        struct step *s = &steps[i];
        size_t len = strcspn(argv[i], " ");
        const char *rest = argv[i] + len + (argv[i][len] != 0);
        size_t words = 0;
        for (s->verb = 0; s->verb < NO_VERB; s->verb++) {
            words = strlen(verbs[s->verb]);
            if (strncmp(rest, verbs[s->verb], words) == 0 &&
                (verbs[s->verb][words - 1] == ' ' || rest[words] == 0))
                break;
        }
        if (s->verb == NO_VERB)
            die(2, "'%s' is no step that I know; see --help", argv[i]);
        if (verbs[s->verb][words - 1] == ' ')
            s->text = read_text(argv[i], rest + words);
        for (size_t c = 0; c < cast_len && !s->who; c++)
            if (strlen(cast[c].name) == len && strncmp(cast[c].name, argv[i], len) == 0)
                s->who = &cast[c];
        if (!s->who && cast_len == CAST)
            die(2, "more than %d connections; see the command crowd", CAST);
        if (!s->who) {
            s->who = &cast[cast_len++];
            s->who->name = must(strndup(argv[i], len));
            s->who->fd = -1;
        }
    }

    int64_t start = now();
    for (int i = 0; i < argc; i++) {
        struct conn *c = steps[i].who;
        c->step = argv[i];
        bool opens = steps[i].verb == CONNECTS || steps[i].verb == CONNECTS_NARROWLY ||
                     steps[i].verb == LISTENS;
        if ((c->fd >= 0) == opens)
            die(2, "%s: %s is %s connected", argv[i], c->name,
                c->fd >= 0 ? "already" : "not");
        play(c, steps[i].verb, &steps[i].text);
        if (opt.verbose)
            printf("%5lld ms  %s\n", (long long)(now() - start) / 1000, argv[i]);
        fflush(stdout);
        free(steps[i].text.at);
    }
    for (size_t c = 0; c < cast_len; c++) {
        if (cast[c].fd >= 0)
            leave(&cast[c]);
        free(cast[c].in.at);
        free(cast[c].out.at);
        free((char *)cast[c].name);
    }
    free(steps);
    return 0;
}
