# Processes that a test starts, and waiting for them.  Bash, for bats.

STARTED=()

started() { # PID: to be ended with the test
    STARTED+=("$1")
}

teardown() {
    local pid
    for pid in "${STARTED[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}

# Waits until the command succeeds, $PATIENCE seconds at most (10); a status of 3
# says that it never will.
wait_until() { # COMMAND...
    local deadline=$((SECONDS + ${PATIENCE:-10} + 1)) status pause=0.02
    while [ "$SECONDS" -lt "$deadline" ]; do
        status=0
        "$@" || status=$?
        case $status in
            0) return 0 ;;
            3) return 1 ;;
        esac
        sleep "$pause"
        pause=0.1 # asking costs, too
    done
    return 1
}

# make run at a terminal of its own, where Ctrl-C goes to make, to its shell and to what
# that has started, all at once.
make_run() { # ARGUMENT...
    command -v script >/dev/null || skip "no script on this machine"
    rm -f "$BATS_TEST_TMPDIR/keyboard" "$BATS_TEST_TMPDIR/out"
    mkfifo "$BATS_TEST_TMPDIR/keyboard"
    timeout -k 5 20 script -qefc "make --no-print-directory run $*" "$BATS_TEST_TMPDIR/out" \
        <"$BATS_TEST_TMPDIR/keyboard" >/dev/null 3>&- &
    started $!
    exec 8>"$BATS_TEST_TMPDIR/keyboard"
}

ctrl_c() {
    printf '\003' >&8
    exec 8>&-
    wait "${STARTED[-1]}" || [ "$?" -eq 130 ]
}

# Leaves in $PYTHON the interpreter itself: what is in the PATH may be a script that
# looks for it. Where there is none the test is skipped.
find_python() {
    command -v python3 >/dev/null || skip "no python3 on this machine"
    # shellcheck disable=SC2034 # for the tests
    PYTHON=$(python3 -c 'import sys; print(sys.executable)')
}

cpu_time_of() { # PID...: hundredths of a second
    local pid
    for pid; do
        cat "/proc/$pid/stat" 2>/dev/null || true
    done | awk '{ sub(/^.*\) /, ""); sum += $12 + $13 } END { print sum + 0 }'
}

# A port on which nobody listens.  Somebody else could take it in the meantime;
# the numbers are below those that the system gives out by itself.
free_port() {
    local port
    while :; do
        port=$((10000 + RANDOM % 20000))
        if ! listens "$port"; then
            echo "$port"
            return
        fi
    done
}

listens() { # PORT
    ss -Hltn "sport = :$1" | grep -q .
}

wait_for_listener() { # PORT: without connecting, which nc -l would take for its client
    wait_until listens "$1"
}

wait_for_port() { # PORT
    wait_until nc -z 127.0.0.1 "$1"
}
