#!/usr/bin/env bats
# The instruments in bench/: do they see what is wrong, and count what is there?
# Each server here is the floor with one thing added that has to show.
# Nothing here asserts how fast a server is.
# shellcheck disable=SC2030,SC2031,SC2154 # each test is a subshell, run sets $stderr

bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    make -s -C bench
    make -s -C 02-fork-server
}

setup() {
    export BATS_LIB_PATH="${BATS_LIB_PATH:-/usr/lib/bats:/usr/lib}"
    bats_load_library bats-support
    bats_load_library bats-assert
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    load=bench/rot13-load
    background=
    mkdir "$BATS_TEST_TMPDIR/tmp"
}

teardown() {
    for pid in $background; do
        kill -CONT "$pid" 2>/dev/null || true
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}

# variant NAME SOURCE FUNCTION: builds SOURCE with FUNCTION replaced by the function
# instead() that stands on standard input.
variant() {
    local made="$BATS_TEST_TMPDIR/$1"
    cat >"$made.c"
    cc -c -O2 -o "$made-rot13.o" rot13.c
    cc -c -O2 -I. -o "$made-instead.o" "$made.c"
    cc -O2 -I. -D_POSIX_C_SOURCE=200809L "-D$3=instead" -o "$made" "$2" \
        "$made-instead.o" "$made-rot13.o"
    server=$made
}

# column NAME: its value in $output, which is a header and a line of CSV
column() {
    awk -F, -v name="$1" '
        $1 == "server" { for (f = 1; f <= NF; ++f) if ($f == name) column = f; next }
        column { print $column }' <<<"$output"
}

# between LOW VALUE HIGH
between() {
    awk -v low="$1" -v x="$2" -v high="$3" \
        'BEGIN { exit !(x != "" && x + 0 >= low && x + 0 <= high) }' ||
        fail "should be from $1 to $3, and is '$2'; the report: $output"
}

# measure OPTION...: the report of one run, and nothing else, in $output
measure() {
    run --separate-stderr "$load" --warmup 0.1 --duration 0.4 --csv-header "$@"
    assert_success
}

start_floor() {
    bench/floor >/dev/null 2>&1 3>&- &
    floor=$!
    background="$background $floor"
    until (exec 4<>/dev/tcp/127.0.0.1/40713) 2>/dev/null; do sleep 0.01; done
}

port_is_free() {
    ! (exec 4<>/dev/tcp/127.0.0.1/40713) 2>/dev/null
}

# ---- what is wrong is found

spoil_a_millionth() {
    variant spoiler bench/floor.c rot13 <<'C'
#include "rot13.h"
void instead(char *buf, size_t len);
void instead(char *buf, size_t len)
{
    static size_t seen;
    rot13(buf, len);
    for (size_t i = 0; i < len; ++i)
        if (++seen == 1000000)
            buf[i] ^= 1;
}
C
}

@test "one wrong byte in a million ends the run, and it says which" {
    spoil_a_millionth
    run "$load" -d 5 -s "$server" bulk
    assert_failure 1
    # The server has seen two lines before, the load's own "Hello\n".
    assert_output --partial "wrong byte: byte 999988 of what came back"
    run "$load" -d 30 -s "$server" -l 8000 -a 10 rtt
    assert_failure 1
    assert_output --partial "wrong byte"
    port_is_free
}

@test "a byte too many is an error" {
    variant chatty bench/floor.c send <<'C'
#include <sys/socket.h>
ssize_t instead(int fd, const void *buf, size_t n, int flags);
ssize_t instead(int fd, const void *buf, size_t n, int flags)
{
    static int calls;
    ssize_t sent = send(fd, buf, n, flags);
    if (++calls == 100)
        send(fd, "x", 1, flags);
    return sent;
}
C
    run "$load" -d 5 -s "$server" rtt
    assert_failure 1
    # Did it come alone, or in front of the next answer?
    assert_output --regexp "more came back than was sent|wrong byte"
}

@test "a byte too few is an error" {
    variant terse bench/floor.c recv <<'C'
#include <sys/socket.h>
ssize_t instead(int fd, void *buf, size_t n, int flags);
ssize_t instead(int fd, void *buf, size_t n, int flags)
{
    static int calls;
    ssize_t got = recv(fd, buf, n, flags);
    return ++calls == 100 && got > 1 ? got - 1 : got;
}
C
    run "$load" -d 5 -s "$server" rtt
    assert_failure 1
    assert_output --partial "no answer for 5 seconds, 1 of 1 connections wait for one"
}

@test "a connection that the server closes is an error, an idle one too" {
    variant closer bench/floor.c accept <<'C'
#include <sys/socket.h>
int instead(int listener, struct sockaddr *address, socklen_t *len);
int instead(int listener, struct sockaddr *address, socklen_t *len)
{
    static int calls;
    int fd = accept(listener, address, len);
    if (++calls == 5)
        shutdown(fd, SHUT_WR);
    return fd;
}
C
    run "$load" -d 5 -s "$server" -i 20 rtt
    assert_failure 1
    assert_output --regexp 'idle connection [0-9]+ of 20: the server closed it'
}

@test "a server that dies is named, not a lost connection" {
    variant mortal bench/floor.c rot13 <<'C'
#include "rot13.h"
#include <stdlib.h>
void instead(char *buf, size_t len);
void instead(char *buf, size_t len)
{
    static int calls;
    rot13(buf, len);
    if (++calls == 100)
        abort();
}
C
    run "$load" -d 5 -s "$server" rtt
    assert_failure 1
    assert_output --partial "was ended by signal 6"
}

# script NAME: an executable of what stands on standard input, in $server
script() {
    server=$BATS_TEST_TMPDIR/$1
    cat >"$server"
    chmod +x "$server"
}

@test "a server that puts itself into the background is an error, and does not stay behind" {
    for command in "setsid bench/floor" "bench/floor & sleep 0.4"; do
        run "$load" -w 0.1 -d 5 -s "$command" rtt
        assert_failure 1
        assert_output --partial "it has to stay in the foreground"
        port_is_free
    done
    # One whose command ends only while it is measured.
    run "$load" -w 0.1 -d 1 -s "bench/floor & sleep 0.7" rtt
    assert_failure 1
    assert_output --partial "it has to stay in the foreground"
    port_is_free
}

@test "a process that is measured and ends is an error" {
    start_floor
    # Its parent, sleep 5, does not wait for it.
    bash -c 'sleep 0.6 & echo $! && exec sleep 5' >"$BATS_TEST_TMPDIR/pid" 3>&- &
    background="$background $!"
    until [ -s "$BATS_TEST_TMPDIR/pid" ]; do sleep 0.01; done
    local pid
    pid=$(cat "$BATS_TEST_TMPDIR/pid")
    run "$load" -w 0.1 -d 1 --pid "$pid" rtt
    assert_failure 1
    assert_output --partial "process $pid has ended"
}

# ---- what is there is counted

@test "it counts as many lines as the server sees" {
    variant counter bench/floor.c rot13 <<'C'
#include "rot13.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
void instead(char *buf, size_t len);
void instead(char *buf, size_t len)
{
    static unsigned long lines;
    static int file = -1;
    if (file < 0)
        file = open(getenv("COUNT"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (size_t i = 0; i < len; ++i)
        lines += buf[i] == '\n';
    rot13(buf, len);
    if (pwrite(file, &lines, sizeof(lines), 0) < 0)
        abort();
}
C
    export COUNT="$BATS_TEST_TMPDIR/count"
    for mode in "-a 7 -i 3 rtt" "-a 3 bulk" "-a 3 churn" "-a 5 -r 2000 rtt" \
        "-l 20000 -a 2 bulk" "-a 4 --syscalls rtt"; do
        # shellcheck disable=SC2086
        measure -s "$server" $mode
        run echo "$(column lines_in_all) $(od -An -tu8 "$COUNT" | tr -d ' ')"
        assert_output --regexp '^([1-9][0-9]*) \1$'
    done
}

@test "system calls: the floor needs three for a line on one connection" {
    measure -s bench/floor --syscalls rtt
    if [ -z "$(column counted_by)" ]; then
        skip "neither perf nor strace may count here"
    fi
    between 2.95 "$(column calls_per_line)" 3.05
}

@test "processor time: what is burnt for each line is seen" {
    # So much that what the line itself costs, on a busy machine too, is little beside it.
    # Counted twice it would be 60000.
    burn='
#define _GNU_SOURCE
#include "rot13.h"
#include <time.h>
void instead(char *buf, size_t len);
void instead(char *buf, size_t len)
{
    struct timespec now, start;
    rot13(buf, len);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    while ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec < 30000000);
}'
    variant burner bench/floor.c rot13 <<<"$burn"
    # Without warm-up, so that no line was begun before, and burnt a part of it there.
    measure -w 0 -d 1 -s "$server" rtt
    between 30000 "$(column cpu_us_per_line)" 50000
    # Also when it was burnt by children that have ended meanwhile.
    variant forker 02-fork-server/fork-server.c rot13 <<<"$burn"
    measure -w 0 -d 1 -s "$server" churn
    # The kernel gives what they used in ticks of 10 ms, of system and of user time: up to
    # one of each is missing, for the few lines that a busy machine has time for.
    between $((30000 - 20000 / $(column lines))) "$(column cpu_us_per_line)" 50000
}

@test "processor time of children that nobody waits for is not known" {
    variant careless bench/floor.c accept <<'C'
#include "rot13.h"
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>
int instead(int listener, struct sockaddr *address, socklen_t *len);
int instead(int listener, struct sockaddr *address, socklen_t *len)
{
    char buf[1000];
    int fd = accept(listener, address, len);
    signal(SIGCHLD, SIG_IGN);
    if (fork() == 0) {
        for (ssize_t n; (n = recv(fd, buf, sizeof(buf), 0)) > 0;) {
            rot13(buf, (size_t)n);
            send(fd, buf, (size_t)n, 0);
        }
        _exit(0);
    }
    close(fd);
    return 0; /* /dev/null, for which epoll does nothing */
}
C
    measure -s "$server" -a 4 churn
    assert_equal "$(column cpu_us_per_line)" ""
    assert_equal "$(column cpu_percent)" ""
    measure -s "$server" -a 4 rtt
    assert [ -n "$(column cpu_us_per_line)" ]
    run "$load" -w 0 -d 0.2 -s "$server" -a 4 churn
    assert_output --partial "CPU not known"
}

@test "processor time and lines of a server that nobody speaks to: none" {
    measure -s bench/floor -a 0 -i 10 rtt
    between 0 "$(column cpu_percent)" 3
    assert_equal "$(column lines)" 0
    assert_equal "$(column p99_us)" ""
}

@test "memory: 100 KiB for each connection are seen" {
    variant hoarder bench/floor.c accept <<'C'
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
int instead(int listener, struct sockaddr *address, socklen_t *len);
char *hoard[100000];
int instead(int listener, struct sockaddr *address, socklen_t *len)
{
    static int n;
    hoard[n] = malloc(100 * 1024);
    memset(hoard[n++], 1, 100 * 1024);
    return accept(listener, address, len);
}
C
    # Three more than connections: those that asked whether these were taken.
    measure -s "$server" -a 1 -i 199 rtt
    between 99 "$(column pss_kib_per_connection)" 104
}

@test "processes: the server and its children" {
    measure -s 02-fork-server/fork-server -a 3 -i 7 rtt
    assert_equal "$(column processes)" 11
}

# ---- the open loop

# A server that stands still for 0.3 of the 2 seconds
stall() {
    start_floor
    "$load" --pid "$floor" -w 0.2 -d 2 --csv-header "$@" >"$BATS_TEST_TMPDIR/csv" 3>&- &
    local pid=$!
    background="$background $pid"
    sleep 1
    kill -STOP "$floor"
    sleep 0.3
    kill -CONT "$floor"
    wait $pid
    output=$(cat "$BATS_TEST_TMPDIR/csv")
}

@test "the open loop counts the lines that had to wait for a stalled server" {
    stall -a 10 -r 1000 rtt
    between 250000 "$(column max_us)" 2000000
    between 200000 "$(column p99_us)" 2000000
    # 2000 were due, and up to 200 from the warm-up may be answered late.
    between 1990 "$(column lines)" 2200
    assert_equal "$(column late_lines)" 0
}

@test "the closed loop sees the same stall in its largest latency only" {
    stall -a 1 rtt
    between 250000 "$(column max_us)" 2000000
    between 0 "$(column p99_us)" 100000
}

@test "the open loop says when the server cannot keep up" {
    start_floor
    run "$load" -w 0 -d 0.2 -r 10000000 -a 1 rtt
    assert_success
    assert_output --regexp 'lines were due and not answered .* the server, or this load, cannot keep up'
}

@test "the open loop sleeps while it waits for the last answers" {
    start_floor
    (
        "$load" -w 0 -d 0.4 -r 200 -a 4 rtt
        times >"$BATS_TEST_TMPDIR/times"
    ) >"$BATS_TEST_TMPDIR/report" 3>&- &
    local pid=$!
    background="$background $pid"
    sleep 0.3
    kill -STOP "$floor"
    sleep 3
    kill -CONT "$floor"
    wait $pid
    # The second line is that of the children: user, system.
    run awk -F '[ms ]+' 'NR == 2 { print $1 * 60 + $2 + $3 * 60 + $4 }' "$BATS_TEST_TMPDIR/times"
    between 0 "$output" 1
}

@test "who does not get the last answers does not wait for them for ever" {
    # 64 KiB in a second: what the buffers on the way hold takes many of them.
    variant slow bench/floor.c rot13 <<'C'
#define _GNU_SOURCE
#include "rot13.h"
#include <unistd.h>
void instead(char *buf, size_t len);
void instead(char *buf, size_t len)
{
    usleep((unsigned)len * 15);
    rot13(buf, len);
}
C
    run timeout 15 "$load" -w 0 -d 0.5 -s "$server" bulk
    assert_success
    assert_output --regexp '[0-9]+ bytes were not answered'
    run timeout 15 "$load" -w 0 -d 0.5 -l 100000 -a 20 -s "$server" rtt
    assert_success
    port_is_free
}

# ---- the report and the command line

@test "the CSV has as many fields as columns, in every mode" {
    for mode in "rtt" "-a 0 -i 2 rtt" "-r 100 rtt" "bulk" "churn" "--syscalls rtt"; do
        # shellcheck disable=SC2086
        measure -s bench/floor $mode
        run awk -F, '{ print NF }' <<<"$output"
        assert_equal "${#lines[@]}" 2
        assert_equal "${lines[0]}" "${lines[1]}"
        assert [ "${lines[0]}" -gt 20 ]
    done
}

@test "bad usage is one line and exit status 2" {
    for words in "" "sideways" "-a rtt" "-a x rtt" "-a -1 rtt" "-a 1.5 rtt" "-a 0 bulk" \
        "-d 0 rtt" "-l 0 rtt" "-r 10 bulk" "--nonsense rtt" "--syscalls rtt" \
        "-s x -p 1 rtt" "rtt 0" "rtt 99999" "rtt x" "rtt 1 ::1 more" "rtt 1 not-an-address" \
        "--csv -n a,b rtt" "rtt -p"; do
        # shellcheck disable=SC2086
        run "$load" $words
        assert_failure 2
        assert_equal "${#lines[@]}" 1
        assert_output --regexp '^rot13-load: '
    done
    run "$load" --help
    assert_success
    assert_output --partial "Examples"
}

@test "nobody listens, a taken port, a server that does not start: one line, status 1" {
    run "$load" rtt
    assert_failure 1
    assert_output --partial "Connection refused"
    run "$load" -s false rtt
    assert_failure 1
    assert_output --partial "ended with exit status 1"
    start_floor
    run "$load" -s bench/floor rtt
    assert_failure 1
    assert_output --partial "is taken"
    run bench/compare
    assert_failure 1
    assert_output --partial "is taken"
    kill -0 "$floor"
}

@test "the floor says what it is, and does not take a second port" {
    start_floor
    run bench/floor
    assert_failure 1
    assert_output --partial "Address already in use"
    run --separate-stderr timeout 0.3 bench/floor 0
    assert_output --regexp '^floor: listening on 127\.0\.0\.1:[0-9]+$'
    assert_regex "$stderr" 'do not run it as a server'
    run --separate-stderr timeout 0.3 bench/floor 0 ::1
    assert_output --regexp '^floor: listening on \[::1\]:[0-9]+$'
}

# ---- nothing stays behind

@test "a server that ignores SIGTERM is killed, with a word about it" {
    cat >"$BATS_TEST_TMPDIR/stubborn" <<'SH'
#!/bin/sh
trap '' TERM
bench/floor &
wait
SH
    chmod +x "$BATS_TEST_TMPDIR/stubborn"
    run "$load" -d 0.1 -s "$BATS_TEST_TMPDIR/stubborn" rtt
    assert_success
    assert_output --partial "did not end within 2 seconds of SIGTERM"
    port_is_free
}

@test "interrupted or killed, the load leaves no server behind" {
    for signal in INT TERM KILL; do
        "$load" -d 30 -s bench/floor rtt >/dev/null 2>&1 3>&- &
        pid=$!
        background="$background $pid"
        until ! port_is_free; do sleep 0.01; done
        sleep 0.2
        kill -$signal $pid
        status=0
        wait $pid || status=$?
        assert_equal $status $((128 + $(kill -l $signal)))
        for _ in {1..100}; do
            ! port_is_free || break
            sleep 0.02
        done
        port_is_free
    done
}

@test "compare: the table, with one stage, a server of one's own, and a wrong one" {
    export TMPDIR="$BATS_TEST_TMPDIR/tmp"
    STAGES=02 SERVER=bench/floor REPEAT=1 run bench/compare
    assert_success
    assert_output --regexp 'floor +fork +yours'
    for row in "processes, 100 clients +1 +101 +1" "system calls per line( +[0-9.]+){3}" \
        "KiB per idle connection" "lines/s, 1 active( +[0-9.]+){3}" \
        "lines/s, 100 active( +[0-9.]+){3}" "lines/s, 10 \+ 900 idle( +[0-9.]+){3}" \
        "MB/s, streamed( +[0-9.]+){3}" "connections/s( +[0-9.]+){3}" \
        "CPU %, 100 idle clients( +[0-9.]+){3}" "lines of code( +[0-9]+){3}"; do
        assert_output --regexp "$row"
    done
    spoil_a_millionth
    STAGES='' SERVER="$server" REPEAT=1 run bench/compare
    assert_failure 1
    assert_output --regexp "yours, stream: .*wrong byte"
    assert_output --regexp "MB/s, streamed +[0-9.]+ +-"
    # One that breaks at all of them, for one reason: a line, with what it said at the end.
    script mortal <<SH
#!/bin/sh
if [ -e "$BATS_TEST_TMPDIR/ran" ]; then
    echo "out of order" >&2
    exit 3
fi
touch "$BATS_TEST_TMPDIR/ran"
exec bench/floor
SH
    STAGES='' SERVER="$server" REPEAT=1 run bench/compare
    assert_failure 1
    assert_line "yours, idle, calls, one, hundred, crowd, stream, churn: the server, yours, ended with exit status 3; it said: out of order"
    # One that does not start is told at once.
    STAGES='' SERVER=./nope REPEAT=1 run bench/compare
    assert_failure 1
    assert_output --regexp '^compare: yours: the server, yours, ended with exit status 127; it said: .*/?nope: not found$'
    # One that somebody else starts is out of our reach, but not out of sight.
    script elsewhere <<SH
#!/bin/sh
touch "$BATS_TEST_TMPDIR/go"
exec sleep 60
SH
    (
        until [ -e "$BATS_TEST_TMPDIR/go" ]; do sleep 0.02; done
        exec bench/floor
    ) >/dev/null 2>&1 3>&- &
    background="$background $!"
    STAGES='' SERVER="$server" REPEAT=1 run bench/compare
    assert_failure 1
    assert_output --partial "still listens on port 40713"
    kill $!
    wait $! || true
    STAGES=07 run bench/compare
    assert_failure 2
    assert_equal "$(ls "$TMPDIR")" ""
    port_is_free
}

@test "compare: interrupted, it leaves no process and no file" {
    export TMPDIR="$BATS_TEST_TMPDIR/tmp"
    bench/compare >/dev/null 2>&1 3>&- &
    pid=$!
    background="$background $pid"
    until ! port_is_free; do sleep 0.01; done
    sleep 1
    kill -TERM $pid
    status=0
    wait $pid || status=$?
    assert_equal $status 143
    assert_equal "$(ls "$TMPDIR")" ""
    port_is_free
}

@test "bench: what was measured is kept, and a run that was interrupted goes on" {
    export RUN="$BATS_TEST_TMPDIR/run" QUICK=1 STAGES=02 ONLY="churn stream"
    bench/bench >/dev/null 2>&1 3>&- &
    pid=$!
    background="$background $pid"
    for _ in {1..200}; do
        [ ! -e "$RUN/rows.csv" ] || [ "$(wc -l <"$RUN/rows.csv")" -lt 3 ] || break
        sleep 0.05
    done
    kill -TERM $pid
    status=0
    wait $pid || status=$?
    assert_equal $status 143
    port_is_free
    assert [ ! -e "$RUN/finished" ]
    cp "$RUN/rows.csv" "$BATS_TEST_TMPDIR/kept"

    ONLY=stream run bench/bench
    assert_failure 2
    assert_output --partial "unfinished run"
    run bench/bench
    assert_success
    assert_output --partial "going on with"
    head -n "$(wc -l <"$BATS_TEST_TMPDIR/kept")" "$RUN/rows.csv" | cmp - "$BATS_TEST_TMPDIR/kept"
    # Two experiments with the floor and stage 02 each, and every field has its name.
    run awk -F, 'NR == 1 { n = NF } NF != n { print "fields: " NF } NR > 1 { print $1, $4 }' "$RUN/rows.csv"
    run sort -u <<<"$output"
    assert_output $'churn 02\nchurn floor\nstream 02\nstream floor'

    # The median lies between the least and the greatest, and show finds it.
    run awk -F, 'NR > 1 && !($8 <= $7 && $7 <= $9)' "$RUN/summary.csv"
    assert_output ""
    run --separate-stderr bench/bench show stream mb_per_s
    assert_success
    assert_output --regexp $'floor +[0-9.]+\n02 +[0-9.]+'
    assert [ ! -e "$RUN/csv" ]
    port_is_free

    # The next run puts aside what this one has come to.
    cp "$RUN/rows.csv" "$BATS_TEST_TMPDIR/kept"
    ONLY=stream run bench/bench
    assert_success
    assert_output --partial "no pictures, they need all"
    cmp "$RUN/before/rows.csv" "$BATS_TEST_TMPDIR/kept"
    run awk -F, 'NR > 1 && !seen[$1]++ { print $1 }' "$RUN/rows.csv"
    assert_output stream
}

@test "bench: every program that is made out of a stage builds" {
    export RUN="$BATS_TEST_TMPDIR/run"
    QUICK=1 ONLY=omission run bench/bench
    assert_success
    run awk -F, 'NR > 1 && !seen[$2]++ { print $2, $4 }' "$RUN/rows.csv"
    assert_output $'closed 05 stalls\nopen 05 stalls'
    run bench/bench list
    assert_success
    mapfile -t programs < <(grep -o "$RUN/[^\" ]*" <<<"$output" | sort -u)
    assert [ "${#programs[@]}" -gt 10 ]
    for program in "${programs[@]}"; do
        assert [ -x "$program" ]
    done
    assert [ -x "$RUN/05-reuseport" ]
    port_is_free
}

@test "bench: bad usage is one line and exit status 2" {
    export RUN="$BATS_TEST_TMPDIR/run"
    for settings in STAGES=07 ONLY=nothing REPEAT=x MINUTES=0 STAGE=02 SERVER=./mine; do
        run env "$settings" bench/bench
        assert_failure 2
        assert_equal "${#lines[@]}" 1
        assert_output --regexp "^bench: ${settings%%=*}"
    done
    run bench/bench sideways
    assert_failure 2
    assert_equal "${#lines[@]}" 1
    assert [ ! -e "$RUN" ]
}
