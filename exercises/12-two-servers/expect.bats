load ../expect.bash

# Leaves in $ONE the process that listens on port 40714.
start_both() {
    export SERVER
    SERVER="$(printf %q "$BATS_TEST_DIRNAME/serve") $(printf %q "$SOURCE")"
    start_server
    ONE=$(ss -Hltnp 'sport = :40714' | sed -n 's/.*pid=\([0-9]*\).*/\1/p')
    wait_until served
}

served() {
    play 'A connects' 'A sends Hello\n' 'A hears Uryyb\n' 2>/dev/null
}

one_is_gone() {
    ! listens 40714
}

twenty_come() {
    local n=0
    for _ in {1..20}; do
        if PATIENCE=2 served; then n=$((n + 1)); fi
    done
    expect "of 20 who came and said Hello, were answered" "$n" 20
}

# Two clients that stay, on descriptors 8 and 9, one with each server.
two_stay() {
    exec 8<>/dev/tcp/127.0.0.1/40713 9<>/dev/tcp/127.0.0.1/40713
    answered 8 && answered 9
}

answered() { # DESCRIPTOR: is what is said there?
    local answer=
    (echo Hello >&"$1") 2>/dev/null && read -r -t 2 -u "$1" answer && [ "$answer" = Uryyb ]
}

ended() { # DESCRIPTOR
    local status=0
    read -r -t 0.1 -u "$1" _ || status=$?
    [ "$status" = 1 ]
}

one_has_ended() {
    ended 8 || ended 9
}

@test "HAProxy accepts it" {
    hint "haproxy names the line and the word"
    local said
    said=$(haproxy -c -f "$SOURCE" 2>&1) || {
        grep ALERT <<<"$said"
        return 1
    }
}

@test "when one server is killed, whoever comes afterwards is served" {
    hint "check, at each server; and for the moment before a check has noticed: retries, option redispatch"
    start_both
    kill -KILL "$ONE"
    # Until the kernel has cleared it away, it accepts connections for a server that will
    # never read them: those are lost, whatever HAProxy does.
    wait_until one_is_gone
    twenty_come
}

@test "whoever is with the other server notices nothing" {
    hint "the two servers have nothing to do with each other: what did you tell HAProxy to end?"
    start_both
    two_stay
    kill -KILL "$ONE"
    wait_until one_has_ended
    if ended 8; then answered 9; else answered 8; fi
}

@test "a server that hangs is left out after a second" {
    hint "the kernel accepts connections for a server that hangs: option tcp-check, with a line and its answer"
    start_both
    kill -STOP "$ONE"
    sleep 1.5
    twenty_come
}

@test "whoever was with a server that hangs is told, and can come again" {
    hint "on-marked-down shutdown-sessions"
    start_both
    two_stay
    kill -STOP "$ONE"
    wait_until one_has_ended
}
