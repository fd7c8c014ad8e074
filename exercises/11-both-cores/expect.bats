load ../expect.bash

export WORKERS=2

listeners() {
    ss -Hltnp 'sport = :40713'
}

owners() { # reads what ss -p prints
    grep -o 'pid=[0-9]*' | sort -u | sed 's/pid=//'
}

@test "with WORKERS=3 there are three listeners, each in a process of its own" {
    hint "SO_REUSEPORT, set before bind(); and who keeps open what is another's? ss -ltnp shows it"
    WORKERS=3 start_server
    expect "listeners on port 40713" "$(listeners | wc -l)" 3
    expect "processes that hold one" "$(listeners | owners | wc -l)" 3
    expect "listeners that more than one process holds" "$(listeners | grep -c 'pid=.*pid=')" 0
}

@test "the clients are dealt out" {
    hint "each process needs an event loop of its own: event_base_new() after fork()"
    start_server
    local steps=() serving
    for i in {1..64}; do steps+=("C$i connects"); done
    play -q 4000 "${steps[@]}" 'C1 hears nothing' 3>&- &
    local players=$!
    wait_until has_clients 64
    sleep 0.3
    serving=$(ss -Htnp state established 'sport = :40713' | owners | wc -l)
    wait "$players"
    expect "processes that serve 64 clients" "$serving" 2
}

fewer_listeners_than() { # N
    [ "$(listeners | wc -l)" -lt "$1" ]
}

@test "when one process is killed, the others serve whoever comes" {
    hint "a listener that lives on in another process holds clients whom nobody accepts"
    start_server
    local victim before
    before=$(listeners | wc -l)
    victim=$(listeners | owners | tail -n 1)
    [ -n "$victim" ]
    kill -KILL "$victim"
    # It takes its listener with it, if that is its own, as soon as it is really gone.
    wait_until fewer_listeners_than "$before" || true
    for _ in {1..20}; do
        play 'A connects' 'A sends Hello\n' 'A hears Uryyb\n'
    done
}

processes_are() { # N
    [ "$(processes)" = "$1" ]
}

@test "of a process that is killed nothing stays, not even a zombie" {
    hint "README.md, 'Hints': how does the first process wait? A zombie stays until its parent calls waitpid()"
    start_server
    expect "processes: one that starts the others, and WORKERS" "$(processes)" 3
    kill -KILL "$(listeners | owners | tail -n 1)"
    wait_until processes_are 2 || true
    expect "processes, zombies counted, after one was killed" "$(processes)" 2
}

@test "Ctrl-C, which reaches all its processes at once, ends it with status 0" {
    hint "the others may have ended before the first process has looked: that is no accident then"
    for _ in {1..5}; do
        start_server
        kill -INT -- "-$(server_pid)"
        STATUS=0
        wait "$GUARD" || STATUS=$?
        GUARD=
        expect "SIGINT to the whole process group; exit status" "$STATUS" 0
        expect "lines on stderr" "$(wc -l <"$BATS_TEST_TMPDIR/err")" 0
    done
}

@test "SIGTERM ends it, and a process of it that somebody has stopped, too" {
    hint "a stopped process hears SIGTERM when it gets SIGCONT, and not before"
    start_server
    kill -STOP "$(listeners | owners | tail -n 1)"
    stop_server
    expect "one process was stopped, then SIGTERM; exit status (124: had to be killed)" "$STATUS" 0
}
