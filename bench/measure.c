/*
 * What a server costs, see measure.h.
 */
#define _GNU_SOURCE /* syscall(), memfd_create() */
#include "measure.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---------------------------------------------------------------- the tree */

struct process {
    pid_t pid;
    pid_t parent;
    char state;      /* as ps shows it: Z has ended, and nobody has waited for it */
    double own;      /* seconds of processor time, in ticks of 10 ms as a rule */
    double children; /* the same, of the children that it has waited for */
    int ours;
};

struct tree {
    struct process *p;
    size_t n;
};

/* Reads /proc/PID/NAME as a string; returns its length, 0 when there is none. */
static size_t
read_proc(pid_t pid, const char *name, char *buf, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, buf, size - 1);
    close(fd);
    buf[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* Returns 0 when the process is gone. */
static int
read_stat(pid_t pid, struct process *p)
{
    char buf[1024];
    if (read_proc(pid, "stat", buf, sizeof(buf)) == 0)
        return 0;
    /* The name stands in parentheses and may hold any byte, so from its end on. */
    const char *rest = strrchr(buf, ')');
    if (rest == NULL)
        return 0;
    char state;
    long parent, utime, stime, cutime, cstime;
    if (sscanf(rest + 1, " %c %ld %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld %ld %ld",
               &state, &parent, &utime, &stime, &cutime, &cstime) != 6)
        return 0;
    double tick = (double)sysconf(_SC_CLK_TCK);
    *p = (struct process){.pid = pid,
                          .parent = (pid_t)parent,
                          .state = state,
                          .own = (double)(utime + stime) / tick,
                          .children = (double)(cutime + cstime) / tick};
    return 1;
}

/*
 * All processes of the machine; ROOT, unless it has ended, and its descendants are
 * marked.  The kernel has lists of children too, but says that they may miss one that
 * forks meanwhile.
 */
static struct tree
look(pid_t root)
{
    struct tree t = {NULL, 0};
    size_t room = 0;
    DIR *dir = opendir("/proc");
    if (dir == NULL)
        return t;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (!isdigit((unsigned char)e->d_name[0]))
            continue;
        if (t.n == room) {
            size_t more = room ? 2 * room : 256;
            struct process *p = realloc(t.p, more * sizeof(*p));
            if (p == NULL)
                break;
            t.p = p;
            room = more;
        }
        if (read_stat((pid_t)atol(e->d_name), &t.p[t.n])) {
            t.p[t.n].ours = t.p[t.n].pid == root && t.p[t.n].state != 'Z';
            ++t.n;
        }
    }
    closedir(dir);

    /* /proc is in the order of the numbers, so that a child comes after its parent,
     * and one pass finds everything; except when the numbers have wrapped round. */
    for (int again = 1; again;) {
        again = 0;
        for (size_t i = 0; i < t.n; ++i) {
            if (t.p[i].ours)
                continue;
            for (size_t low = 0, high = t.n; low < high;) {
                size_t middle = low + (high - low) / 2;
                if (t.p[middle].pid == t.p[i].parent) {
                    if (t.p[middle].ours)
                        t.p[i].ours = again = 1;
                    break;
                }
                if (t.p[middle].pid < t.p[i].parent)
                    low = middle + 1;
                else
                    high = middle;
            }
        }
    }
    return t;
}

/* ------------------------------------------------- processor time and memory */

/* Ticks are too coarse for a hundred processes that each ran for a few: the
 * processor clock of a process that still exists is exact. */
static double
exact_cpu(const struct process *p)
{
    clockid_t clock;
    struct timespec ts;
    if (clock_getcpuclockid(p->pid, &clock) != 0 || clock_gettime(clock, &ts) != 0)
        return p->own;
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double
field(const char *text, const char *name)
{
    const char *found = strstr(text, name);
    return found ? strtod(found + strlen(name), NULL) : 0;
}

/* SigIgn is a set of signals in hexadecimal, the lowest bit that of signal 1. */
static int
ignores_sigchld(pid_t pid)
{
    char buf[4096];
    if (read_proc(pid, "status", buf, sizeof(buf)) == 0)
        return 0;
    const char *found = strstr(buf, "\nSigIgn:");
    return found && strtoull(found + 8, NULL, 16) >> (SIGCHLD - 1) & 1;
}

int
usage_of(pid_t root, int memory, struct usage *u)
{
    *u = (struct usage){.pss_kib = memory ? 0 : -1, .rss_kib = memory ? 0 : -1};
    struct tree t = look(root);
    for (size_t i = 0; i < t.n; ++i) {
        if (!t.p[i].ours)
            continue;
        ++u->processes;
        u->cpu += exact_cpu(&t.p[i]) + t.p[i].children;
        if (ignores_sigchld(t.p[i].pid))
            u->unwaited = 1;
        char buf[4096];
        if (u->pss_kib < 0)
            continue;
        if (read_proc(t.p[i].pid, "smaps_rollup", buf, sizeof(buf)) > 0) {
            u->pss_kib += field(buf, "\nPss:");
            u->rss_kib += field(buf, "\nRss:");
        } else if (errno == EACCES || (errno == ENOENT && t.p[i].pid == root)) {
            /* Another user's, or an old kernel.  Else it has ended just now. */
            u->pss_kib = u->rss_kib = -1;
        }
    }
    free(t.p);
    return u->processes;
}

int
signal_descendants(int signal)
{
    struct tree t = look(getpid());
    int n = 0;
    for (size_t i = 0; i < t.n; ++i)
        if (t.p[i].ours && t.p[i].pid != getpid() && kill(t.p[i].pid, signal) == 0)
            ++n;
    free(t.p);
    return n;
}

/* ------------------------------------------------------------- system calls */

struct counter {
    int *fd; /* with perf: one descriptor for each thread */
    size_t n;
    pid_t strace;   /* with strace: its process */
    int log;        /* what it writes, a file in memory */
    uint64_t calls; /* seen so far in the log */
    int line_start; /* what comes next in the log begins a line */
};

/* The kernel's number for "a system call begins", 0 when we are not to know. */
static unsigned long
tracepoint(void)
{
    static const char *const paths[] = {
        "/sys/kernel/tracing/events/raw_syscalls/sys_enter/id",
        "/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id"};
    unsigned long id = 0;
    for (size_t i = 0; i < 2 && id == 0; ++i) {
        FILE *f = fopen(paths[i], "re");
        if (f == NULL)
            continue;
        if (fscanf(f, "%lu", &id) != 1)
            id = 0;
        fclose(f);
    }
    return id;
}

/* One event for each thread that there is; the kernel adds what they fork. */
static int
perf_thread(struct counter *c, unsigned long id, pid_t thread)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr), .config = id, .inherit = 1};
    int *more = realloc(c->fd, (c->n + 1) * sizeof(*more));
    if (more == NULL)
        return 0;
    c->fd = more;
    long fd = syscall(SYS_perf_event_open, &attr, thread, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0)
        return 0;
    c->fd[c->n++] = (int)fd;
    return 1;
}

static int
perf_open(struct counter *c, pid_t root)
{
    unsigned long id = tracepoint();
    if (id == 0)
        return 0;
    struct tree t = look(root);
    int ok = 1;
    for (size_t i = 0; i < t.n && ok; ++i) {
        if (!t.p[i].ours)
            continue;
        char path[64];
        snprintf(path, sizeof(path), "/proc/%ld/task", (long)t.p[i].pid);
        DIR *dir = opendir(path);
        if (dir == NULL)
            continue;
        for (struct dirent *e; (e = readdir(dir)) != NULL && ok;)
            if (isdigit((unsigned char)e->d_name[0]))
                ok = perf_thread(c, id, (pid_t)atol(e->d_name)) || errno == ESRCH;
        closedir(dir);
    }
    free(t.p);
    return ok && c->n > 0;
}

static int
all_traced(pid_t root)
{
    struct tree t = look(root);
    int all = 1;
    for (size_t i = 0; i < t.n && all; ++i) {
        char buf[4096];
        if (t.p[i].ours && read_proc(t.p[i].pid, "status", buf, sizeof(buf)) > 0)
            all = field(buf, "\nTracerPid:") > 0;
    }
    free(t.p);
    return all;
}

/* Runs in the child: strace, one line per call, into LOG.  A pipe would fill up and
 * stop strace, and with it the server, whenever we are busy with something else. */
static void
run_strace(pid_t root, int log, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* then it lets go of the server, and ends */
    if (getppid() != parent)
        _exit(127);
    struct tree t = look(root);
    /* Two arguments for each process, ten of ours, and the NULL. */
    char **argv = calloc(2 * t.n + 16, sizeof(*argv));
    char output[32];
    if (argv == NULL)
        _exit(127);
    snprintf(output, sizeof(output), "/proc/self/fd/%d", log);
    size_t n = 0;
    const char *fixed[] = {"strace", "-f", "-qq", "-e", "signal=none", "-s",
                           "0",      "-a", "1",   "-o", output};
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); ++i)
        argv[n++] = strdup(fixed[i]);
    for (size_t i = 0; i < t.n; ++i) {
        if (!t.p[i].ours)
            continue;
        char number[32];
        snprintf(number, sizeof(number), "%ld", (long)t.p[i].pid);
        argv[n++] = strdup("-p");
        argv[n++] = strdup(number);
    }
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 2) < 0)
        _exit(127);
    fcntl(log, F_SETFD, 0);
    execvp("strace", argv);
    _exit(127);
}

static int
strace_open(struct counter *c, pid_t root, const char **why)
{
    c->log = memfd_create("strace", MFD_CLOEXEC);
    if (c->log < 0) {
        *why = "no file in memory for strace to write to";
        return 0;
    }
    c->line_start = 1;
    pid_t parent = getpid();
    c->strace = fork();
    if (c->strace == 0)
        run_strace(root, c->log, parent);
    for (int i = 0; c->strace > 0 && i < 1000; ++i) {
        int status;
        if (waitpid(c->strace, &status, WNOHANG) == c->strace) {
            c->strace = -1;
            *why = WIFEXITED(status) && WEXITSTATUS(status) == 127
                       ? "strace is not installed"
                       : "strace may not attach to the server";
            return 0;
        }
        if (all_traced(root))
            return 1;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    *why = "strace did not attach";
    return 0;
}

struct counter *
counter_open(pid_t root, const char **why)
{
    struct counter *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        *why = "out of memory";
        return NULL;
    }
    c->strace = c->log = -1;
    if (perf_open(c, root))
        return c;
    while (c->n > 0)
        close(c->fd[--c->n]);
    if (strace_open(c, root, why))
        return c;
    counter_close(c);
    return NULL;
}

const char *
counter_name(const struct counter *c)
{
    return c->log >= 0 ? "strace" : "perf";
}

uint64_t
counter_read(struct counter *c)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < c->n; ++i) {
        uint64_t calls;
        if (read(c->fd[i], &calls, sizeof(calls)) == (ssize_t)sizeof(calls))
            sum += calls;
    }
    /*
     * A call is a line "PID name(arguments) = result".  One that was interrupted
     * by the output of another process goes on in a line "PID <... name resumed>",
     * which is not a call more.
     */
    char buf[65536];
    ssize_t n;
    while (c->log >= 0 && (n = read(c->log, buf, sizeof(buf))) > 0) {
        for (ssize_t i = 0; i < n; ++i) {
            if (buf[i] == '\n') {
                c->line_start = 1;
            } else if (c->line_start && buf[i] != ' ' &&
                       !isdigit((unsigned char)buf[i])) {
                c->line_start = 0;
                if (isalpha((unsigned char)buf[i]) || buf[i] == '_')
                    ++c->calls;
            }
        }
    }
    return sum + c->calls;
}

void
counter_close(struct counter *c)
{
    for (size_t i = 0; i < c->n; ++i)
        close(c->fd[i]);
    if (c->strace > 0) {
        kill(c->strace, SIGTERM);
        waitpid(c->strace, NULL, 0);
    }
    if (c->log >= 0)
        close(c->log);
    free(c->fd);
    free(c);
}
