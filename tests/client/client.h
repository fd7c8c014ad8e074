/*
 * What the parts of rot13-client share: the command line's options, connections, and the
 * oracle. Times are in microseconds. A function that finds what it did not expect does
 * not return: it reports and exits with 1.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#define MAX_LINE 16384 // the contract's: a longer line may be answered in pieces
#define SECOND   1000000

typedef unsigned char byte;

/* ---- the commands, each in the file of its name; their exit statuses ----------- */

int do_scene(int argc, char **argv); // the steps
int do_crowd(long n);                // crowd, churn and flood: crowd.c
int do_churn(long n);
int do_flood(long seconds);
int do_fuzz(void);
int do_guard(char **command); // its words, NULL after the last

/* What the command line said; set once, in main. */
struct settings {
    const char *address, *keep;
    int64_t port, at_least, clients, connections, seed, streams, only;
    int64_t verbose, idle, hold, unread, any_time, first;
    int64_t patience, quiet, kill_after;
    struct sockaddr_storage to; // address and port, ready for connect
    socklen_t to_len;
};
extern struct settings opt;

/* ---- small things --------------------------------------------------------------- */

/* One line on stderr, after "rot13-client: ", and an exit with STATUS. */
void die(int status, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

int64_t now(void); // of a clock that is never set
size_t least(size_t a, size_t b);
const char *plural(size_t n); // "" for 1, "s" for others
void *must(void *memory);     // MEMORY, unless it is NULL: then we cannot go on

struct bytes {
    byte *at; // from malloc; a zeroed struct is an empty one
    size_t len, room;
};

void append(struct bytes *b, const void *from, size_t len);
void drop_front(struct bytes *b, size_t len); // len: of them at most

/* ---- the oracle ----------------------------------------------------------------- */

/* The ROT13 of LEN bytes; TO may be FROM. */
void rotate(byte *to, const byte *from, size_t len);

/* An endless stream of lines: these over and over. A prime number of them, so that no
 * server that loses a few whole buffers gets into step again unseen. */
#define LINES  4093
#define PERIOD (LINES * 32) // bytes
extern byte lines[PERIOD], lines_rotated[PERIOD];

void make_oracle(void); // before all the others
void make_lines(void);

/* ---- a connection --------------------------------------------------------------- */

struct conn {
    const char *step;  // what is being done, for the report
    const char *name;  // in a scene: A, B, ...
    int fd;            // -1: not open
    bool half_closed;  // nothing more can be sent
    bool unread;       // nothing is to be read until somebody wants to hear
    const char *ended; // NULL while open, then "end of file" or "reset"
    struct bytes in;   // arrived, not yet heard
    struct bytes out;  // to be sent when there is room
    size_t sent;       // bytes in all
    byte tail[200];    // the last of them
    size_t stuck;      // bytes of the endless stream that were sent or heard
};

/* Non-blocking; -1 and errno if it cannot even be tried. Narrow: with small buffers, so
 * that the server has to wait to send. */
int start_connect(bool narrow);
int connect_result(int fd); // how it ended: 0 or an errno
void connect_now(struct conn *c, bool narrow);

/* What has arrived goes into c->in, up to MOST bytes; an end is noted in c->ended. */
void receive(struct conn *c, size_t most);

/* Sends all of it. While that has to wait, what arrives on any of the N connections (C
 * is one of them) is collected, or two big exchanges would wait for each other. */
void send_all(struct conn *all, size_t n, struct conn *c, const byte *at, size_t len,
              int flags);
void note_sent(struct conn *c, const byte *at, size_t len); // by other means

/* Exactly these bytes come next; what came beyond them stays. */
void hear(struct conn *c, const byte *expect, size_t len);

void ask(struct conn *c, const char *line); // of 99 bytes at most, there and back
void reset(int fd); // closes it with a reset instead of an end of file

/* Closes it; if the server closed it first, with a reset: else the server's system would
 * keep the port for a minute (TIME_WAIT), and one that does not set SO_REUSEADDR could
 * not be started again for the next test. */
void leave(struct conn *c);

/* False: nothing happened until then. */
bool wait_for(int fd, short events, int64_t until);

/* Every byte renews the patience with a server, but only for so long: who says a byte
 * now and then would never be done. */
int64_t longest(void);

/* ---- reports -------------------------------------------------------------------- */

/* Bytes as one can type them, for the shell's single quotes too. */
void show(FILE *to, const byte *at, size_t len);

/*
 * Of an expectation that was not met, on stderr. Expected is either EXPECT (of which
 * the first RIGHT bytes came, then what is in c->in) or said in WORDS. WHY: what came
 * instead of more bytes, or NULL.
 */
void report(const struct conn *c, const byte *expect, size_t len, size_t right,
            const char *words, const char *why);
void broken(const struct conn *c, const byte *expect, size_t len, size_t right,
            const char *words, const char *why) __attribute__((noreturn)); // and exits

/* Whys: */
const char *silence(void);
const char *too_slow(const char *what); // "still WHAT after ... s: too slow"

#endif
