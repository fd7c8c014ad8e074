/* rot13-client guard: runs a server, and leaves nothing of it behind. */
#define _GNU_SOURCE

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"

struct process {
    pid_t pid, parent;
    bool ours;
    char name[32];
};

/* All living descendants of this process; zombies do not count. */
static size_t
descendants(struct process **found)
{
    struct process *all = NULL;
    size_t n = 0, ours = 0;
    DIR *proc = opendir("/proc");
    if (!proc)
        die(1, "/proc: %s", strerror(errno));
    for (struct dirent *entry; (entry = readdir(proc));) {
        char path[300], stat[200], state = 0;
        struct process p = {.pid = (pid_t)strtol(entry->d_name, NULL, 10)};
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        FILE *f = p.pid > 0 ? fopen(path, "r") : NULL;
        if (!f)
            continue;
        stat[fread(stat, 1, sizeof stat - 1, f)] = '\0';
        fclose(f);
        // The name stands in parentheses and may hold some itself.
        char *name = strchr(stat, '('), *end = strrchr(stat, ')');
        if (name && end && sscanf(end + 1, " %c %d", &state, &p.parent) == 2 &&
            state != 'Z' && state != 'X') {
            snprintf(p.name, sizeof p.name, "%.*s", (int)(end - name - 1), name + 1);
            if (n % 64 == 0)
                all = must(realloc(all, (n + 64) * sizeof *all));
            all[n++] = p;
        }
    }
    closedir(proc);

    bool more = true; // a child may stand before its parent: until no more are found
    while (more) {
        more = false;
        for (size_t i = ours; i < n; i++) {
            bool child = all[i].parent == getpid();
            for (size_t k = 0; k < ours && !child; k++)
                child = all[i].parent == all[k].pid;
            if (child) {
                struct process p = all[i];
                all[i] = all[ours];
                all[ours++] = p;
                more = true;
            }
        }
    }
    *found = all;
    return ours;
}

/* What the command writes to its stdout or stderr, on its way to ours. */
struct relay {
    int from, to;
    size_t left; // so many bytes are passed on yet, the rest is thrown away
};
static struct relay relays[] = {{.from = -1}, {.from = -1}};

/* False: nothing is there now. */
static bool
pass_on(struct relay *r)
{
    byte buf[65536];
    ssize_t n = r->from < 0 ? -1 : read(r->from, buf, sizeof buf);
    if (n <= 0) {
        if (n == 0) {
            close(r->from);
            r->from = -1;
        }
        return false;
    }
    size_t len = least((size_t)n, r->left);
    r->left -= len;
    for (size_t done = 0; done < len;) {
        ssize_t written = write(r->to, buf + done, len - done);
        if (written < 0)
            break;
        done += (size_t)written;
    }
    return true;
}

/* Waits for one of the signals, so long at most, and passes on output meanwhile. */
static int
next_signal(int signals, int64_t wait)
{
    for (int64_t until = now() + wait, left = wait; left > 0; left = until - now()) {
        struct pollfd p[] = {{.fd = signals, .events = POLLIN},
                             {.fd = relays[0].from, .events = POLLIN},
                             {.fd = relays[1].from, .events = POLLIN}};
        poll(p, 3, (int)((left + 999) / 1000));
        for (int i = 0; i < 2; i++)
            if (p[i + 1].revents)
                pass_on(&relays[i]);
        struct signalfd_siginfo info;
        if (p[0].revents && read(signals, &info, sizeof info) == sizeof info)
            return (int)info.ssi_signo;
    }
    return 0;
}

/*
 * A command that has ended well and left something running has put its server into
 * the background. Says so, waits until it ends or a signal comes, and passes SIGTERM
 * on to all of it.
 */
static void
guard_background(int signals)
{
    bool said = false;
    next_signal(-1, SECOND / 10);
    while (waitpid(-1, NULL, WNOHANG) >= 0) {
        struct process *p;
        size_t n = descendants(&p);
        if (n > 0 && !said)
            fprintf(stderr, "guard: in the background: %d %s\n", p[0].pid, p[0].name);
        said = true;
        int signal_nr = next_signal(signals, SECOND / 20);
        bool told = signal_nr == SIGTERM || signal_nr == SIGINT;
        for (size_t i = 0; i < n && told; i++)
            kill(p[i].pid, SIGTERM);
        free(p);
        if (told)
            return;
    }
}

/* Starts the command, with the signals as they were BEFORE; what it prints goes through
 * relays[] where that is to be bounded. */
static pid_t
start(char **command, const sigset_t *before)
{
    int out[2], err[2];
    bool relayed = opt.first >= 0;
    if (relayed) {
        if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 ||
            fcntl(out[0], F_SETFL, O_NONBLOCK) < 0 ||
            fcntl(err[0], F_SETFL, O_NONBLOCK) < 0)
            die(1, "pipe: %s", strerror(errno));
        relays[0] = (struct relay){out[0], STDOUT_FILENO, (size_t)opt.first};
        relays[1] = (struct relay){err[0], STDERR_FILENO, (size_t)opt.first};
    }
    pid_t me = getpid(), child = fork();
    if (child < 0)
        die(1, "fork: %s", strerror(errno));
    if (child == 0) {
        if (relayed &&
            (dup2(out[1], STDOUT_FILENO) < 0 || dup2(err[1], STDERR_FILENO) < 0))
            _exit(1);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != me)
            _exit(1);             // the guard was gone already
        signal(SIGPIPE, SIG_DFL); // a shell may have set them to be ignored
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        sigprocmask(SIG_SETMASK, before, NULL);
        execvp(command[0], command);
        die(127, "%s: %s", command[0], strerror(errno));
    }

    if (relayed) {
        close(out[1]);
        close(err[1]);
    }
    return child;
}

/* Kills all that is left. When the command has ended BY_ITSELF, they are named first:
 * those who were told to go just now are given a moment before that. */
static void
end_the_rest(bool by_itself)
{
    int64_t name_at = now() + SECOND / 10, give_up = now() + 10 * SECOND;
    for (bool named = !by_itself;;) {
        struct process *p;
        pid_t reaped;
        while ((reaped = waitpid(-1, NULL, WNOHANG)) > 0)
            ;
        if (reaped < 0 || now() > give_up) // no child is left, so no descendant is
            break;
        bool name_them = !named && now() > name_at;
        size_t n = descendants(&p);
        for (size_t i = 0; i < n && name_them; i++)
            fprintf(stderr, "guard: left behind: %d %s\n", p[i].pid, p[i].name);
        named = named || name_them;
        for (size_t i = 0; i < n && named; i++)
            kill(p[i].pid, SIGKILL);
        free(p);
        next_signal(-1, 2000);
    }
}

int
do_guard(char **command)
{
    sigset_t watched, before;
    sigemptyset(&watched);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGCHLD);
    sigprocmask(SIG_BLOCK, &watched, &before);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) // orphans below become our children
        die(1, "PR_SET_CHILD_SUBREAPER: %s", strerror(errno));
    int signals = signalfd(-1, &watched, SFD_CLOEXEC);
    if (signals < 0)
        die(1, "signalfd: %s", strerror(errno));
    pid_t child = start(command, &before);

    int status = -1, result;
    int64_t deadline = 0;
    while (status < 0 && (!deadline || now() < deadline)) {
        int signal_nr = next_signal(signals, SECOND / 20);
        if (signal_nr == SIGTERM || signal_nr == SIGINT) {
            kill(child, signal_nr);
            if (!deadline)
                deadline = now() + opt.kill_after;
        }
        for (pid_t pid; (pid = waitpid(-1, &result, WNOHANG)) > 0;)
            if (pid == child)
                status = result;
    }

    if (status == 0 && !deadline)
        guard_background(signals);
    end_the_rest(status >= 0);

    for (int i = 0; i < 2; i++)
        while (pass_on(&relays[i]))
            ;
    if (status < 0)
        return 124;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
