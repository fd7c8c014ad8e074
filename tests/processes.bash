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

wait_until() { # COMMAND...: ten seconds at most
    local deadline=$((SECONDS + 10))
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.02
    done
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
