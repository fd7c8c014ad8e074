/*
 * What a server costs, seen from outside: the processor time, the memory and
 * the system calls of a process and of everything that it has forked.
 * Linux only: /proc, and perf_event_open(2) or strace(1) for the system calls.
 */
#ifndef MEASURE_H
#define MEASURE_H

#include <stdint.h>
#include <sys/types.h>

struct usage {
    int processes;  /* how many: the server and all its descendants */
    double cpu;     /* seconds of processor time, that of reaped children included */
    double pss_kib; /* memory, a page shared by n processes counted as 1/n each */
    double rss_kib; /* memory, a shared page counted in full for each */
    int unwaited;   /* a process ignores SIGCHLD: when its children end, their
                       processor time is lost, because nobody waits for them */
};

/*
 * Looks at process ROOT and its descendants.  The memory is filled in when
 * MEMORY is not 0 (it takes a while with many processes), and is negative when
 * the kernel does not let us see it.  Returns the number of processes, 0 when
 * ROOT has ended, also when its parent has not waited for it yet.
 */
int usage_of(pid_t root, int memory, struct usage *u);

/* Sends SIGNAL to all descendants of this process; returns how many there are. */
int signal_descendants(int signal);

/*
 * Counts the system calls of ROOT, of its descendants, and of all that they
 * will fork, from here to counter_close().  Where the kernel's tracepoint may be
 * used (as root, as a rule), that counts, and the server hardly notices.  Else strace
 * counts, which slows the server down very much.
 * Returns NULL and sets *WHY when neither can be had.
 */
struct counter *counter_open(pid_t root, const char **why);

const char *counter_name(const struct counter *c); /* "perf" or "strace" */
uint64_t counter_read(struct counter *c);          /* calls so far */

void counter_close(struct counter *c);

#endif
