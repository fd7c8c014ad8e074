# tests/check itself: what it says of servers that are not right, and that it leaves
# nothing behind whatever they do.

bats_load_library bats-support
bats_load_library bats-assert
load ../processes.bash

CHECK=$BATS_TEST_DIRNAME/../check
CLIENT=$BATS_TEST_DIRNAME/../rot13-client

setup() {
    # A mark by which to find again what a test has started.
    MARK=$BATS_TEST_TMPDIR/mark
    ln -s "$(command -v nc)" "$MARK"
    RIGHT=$BATS_TEST_TMPDIR/right
    ln -s "$BATS_TEST_DIRNAME/../../04-select-server/select-server" "$RIGHT"
}

# Makes a script of it and prints its name.
script() { # TEXT
    printf '#!/bin/sh\n%s\n' "$1" >"$BATS_TEST_TMPDIR/script"
    chmod +x "$BATS_TEST_TMPDIR/script"
    echo "$BATS_TEST_TMPDIR/script"
}

port_is_taken() {
    ! "$CLIENT" free 2>/dev/null
}

nothing_runs() {
    ! pgrep -f "$BATS_TEST_TMPDIR" >/dev/null
}

check() { # SERVER [RULES [PATIENCE]]
    run env -u STAGE SERVER="$1" RULES="${2-2}" PATIENCE="${3-1}" "$CHECK" 3>&-
}

teardown() {
    run pgrep -f "$BATS_TEST_TMPDIR"
    assert_output ""
    "$CLIENT" free
}

port_is_held() { # by what was closed a moment ago
    ss -Htn state time-wait sport = :40713 | grep -q .
}

port_is_held_no_more() {
    ! port_is_held
}

# First, so that no other test's connections hold the port.
@test "check: a server without SO_REUSEADDR can be judged all the same" {
    PATIENCE=65 wait_until port_is_held_no_more
    check "$(changed 's/SOL_SOCKET, SO_REUSEADDR/SOL_SOCKET, SO_KEEPALIVE/')" 4,8,9,10 3
    assert_success
}

@test "check: a server without SO_REUSEADDR that cannot start is told why" {
    # The server closes first, and its system holds the port.
    "$RIGHT" >"$BATS_TEST_TMPDIR/out" 3>&- &
    local server=$!
    wait_until grep -q listening "$BATS_TEST_TMPDIR/out"
    exec 8<>/dev/tcp/127.0.0.1/40713
    echo Hello >&8
    read -r -u 8 _
    kill "$server"
    wait "$server"
    exec 8>&-
    wait_until port_is_held
    check "$(changed 's/SOL_SOCKET, SO_REUSEADDR/SOL_SOCKET, SO_KEEPALIVE/')" 4
    assert_failure 1
    assert_line --partial "Address already in use"
    assert_line --partial "with SO_REUSEADDR it can listen all the same"
}

@test "check: a rule of which not all was tried is not kept" {
    # A bats that is killed after the first test.
    printf '#!/bin/sh\necho 1..7\necho ok 1 rule 2: one of them\nkill -9 $$\n' >"$BATS_TEST_TMPDIR/bats"
    chmod +x "$BATS_TEST_TMPDIR/bats"
    PATH=$BATS_TEST_TMPDIR:$PATH check "$RIGHT"
    assert_failure 1
    assert_line --partial "rule  2  skipped"
    assert_line --partial "because:  its tests were not all tried: bats ended with status 137"
    assert_line "0 kept, 0 broken, 1 skipped"
}

@test "check: a command that does not listen is told, with what it printed" {
    check "echo I am broken; printf '%1000s'; exec sleep 100"
    assert_failure 1
    assert_line --index 0 "checking echo I am broken; printf '%1000s'; exec sleep 100"
    assert_line --index 1 "check: after 1 s nothing listens on 127.0.0.1:40713; it printed:"
    assert_line "I am broken"
    [ "${#output}" -lt 500 ] || fail "${#output} characters of output"
}

@test "check: a command that ends is told at once" {
    local start=$SECONDS
    run env -u STAGE SERVER=./nothere PATIENCE=60 "$CHECK" 3>&-
    assert_failure 1
    assert_line "check: it ended with status 127 before it listened on 127.0.0.1:40713; it printed:"
    assert_line --partial "./nothere: No such file or directory"
    run env -u STAGE SERVER=false PATIENCE=60 "$CHECK" 3>&-
    assert_failure 1
    assert_line "check: it ended with status 1 before it listened on 127.0.0.1:40713, and it printed nothing"
    [ $((SECONDS - start)) -lt 30 ] || fail "it took $((SECONDS - start)) s"
}

@test "check: a command may be what people type" {
    check "cd '$BATS_TEST_TMPDIR' && ./right" 2,8,9
    assert_success
    check "A=1 B=2 $RIGHT" 2,8,9
    assert_success
}

@test "check: what was sent, what came back, what was expected, why, and where to read" {
    check "$MARK -lk 127.0.0.1 40713"
    assert_failure 1
    assert_line "rule  2  BROKEN   A line at a time"
    assert_line --partial "sent:     Hello\\n"
    assert_line --partial "received: nothing in 1 s, connection still open"
    assert_line --partial "expected: Uryyb\\n"
    assert_line --partial "why:      The client waits"
    assert_line --partial "read on:  docs/contract.md#rule-2"
    assert_line "0 kept, 1 broken, 0 skipped"
}

@test "check: a server that hangs costs each rule seconds" {
    local start=$SECONDS
    check "$MARK -lk 127.0.0.1 40713" 1,2,3,4,5,6,7,8,9,10
    assert_failure 1
    [ $((SECONDS - start)) -lt 200 ] || fail "it took $((SECONDS - start)) s"
}

# Answers every line, a fifth of a second after the one before.
slow_server() {
    find_python
    cat >"$BATS_TEST_TMPDIR/slow.py" <<'END'
import codecs, socket, threading, time

def serve(client):
    for line in client.makefile('rb'):
        time.sleep(0.2)
        client.sendall(codecs.encode(line.decode('latin-1'), 'rot13').encode('latin-1'))
    client.close()

listener = socket.create_server(('127.0.0.1', 40713))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],)).start()
END
    SLOW_SERVER="$PYTHON -IS $BATS_TEST_TMPDIR/slow.py"
}

@test "check: a server that is slow costs each rule seconds, and the report says so" {
    slow_server
    check "$SLOW_SERVER" 3 3
    assert_failure 1
    assert_line "rule  3  BROKEN   Half-close is honoured"
    assert_line "    step:     A hears 10000 times 123456789\\n"
    assert_line --partial "still coming after 15 s: too slow"
}

@test "check: a rule of many steps, each of them slow, costs seconds too" {
    slow_server
    check "$SLOW_SERVER" 8 3
    assert_failure 1
    assert_line "rule  8  BROKEN   Nothing is left behind"
    assert_line "    test:     after many connections all is as before (1000)"
    assert_line "    received: still not done after 15 s: too slow"
}

# Stage 04 with a change in its source, and prints its name.
changed() { # SED-SCRIPT
    local top=$BATS_TEST_DIRNAME/../..
    mkdir "$BATS_TEST_TMPDIR/src" "$BATS_TEST_TMPDIR/src/stage"
    cp "$top"/rot13.[ch] "$BATS_TEST_TMPDIR/src"
    sed "$1" "$top/04-select-server/select-server.c" >"$BATS_TEST_TMPDIR/src/stage/changed.c"
    ! cmp -s "$top/04-select-server/select-server.c" "$BATS_TEST_TMPDIR/src/stage/changed.c" || return 1
    cc -std=c11 -O2 -o "$BATS_TEST_TMPDIR/changed" "$BATS_TEST_TMPDIR"/src/stage/changed.c "$BATS_TEST_TMPDIR"/src/rot13.c
    echo "$BATS_TEST_TMPDIR/changed"
}

@test "check: an answer before its newline breaks rule 2 and no other" {
    check "$(changed 's/complete_lines(new_bytes, (size_t)result)/(size_t)result/')" 1,2
    assert_failure 1
    assert_line --partial "rule  1  kept"
    assert_line --partial "rule  2  BROKEN"
}

@test "check: with wrong answers, rule 1 is to be mended first" {
    check "$(changed 's/rot13(new_bytes.*/;/')" 1,10
    assert_failure 1
    assert_line --partial "rule 10  BROKEN"
    assert_line "Mend rule 1 first: the tests of the others need right answers."
}

@test "check: a server that a client has ended is said to have ended, and how" {
    check "$(changed 's/return sigaction(SIGPIPE.*/return 0;/')" 6
    assert_failure 1
    assert_line --partial "rule  6  BROKEN"
    assert_line "    the server had ended by then, with status 141: SIGPIPE"
}

@test "check: at the limit, one that rests for a second and then spins is seen" {
    # It tries again a second later, and from then on all the time.
    check "$(changed 's/int accepting = .*/int accepting = !accept_failed || time(NULL) > accept_failed;/; s/accept_failed = time(NULL)/accept_failed = accept_failed ? accept_failed : time(NULL)/')" 7
    assert_failure 1
    assert_line "    test:     at the limit it serves those it has, and rests"
}

@test "check: a server whose script kills its whole group does not end the check" {
    check "$(script "trap 'trap - TERM; kill 0' TERM INT; '$RIGHT' & wait; exit 0")" 2,4
    assert_success
}

@test "check: without OpenBSD's nc nothing is judged" {
    printf '#!/bin/sh\necho "usage: nc host port" >&2\n' >"$BATS_TEST_TMPDIR/nc"
    chmod +x "$BATS_TEST_TMPDIR/nc"
    PATH=$BATS_TEST_TMPDIR:$PATH check "$RIGHT" 3,10
    assert_failure 1
    assert_output "check: the nc of this machine is not OpenBSD's, it has no -N; ./setup installs that one"
}

@test "check: a server that ignores SIGTERM is killed, with all that it started" {
    check "$(script "trap '' TERM; '$RIGHT' & while :; do sleep 1; done")" 8
    assert_failure 1
    assert_line "rule  8  BROKEN   Nothing is left behind"
    assert_line --partial "SIGTERM ends it cleanly"
    assert_line --partial "received: 124"
}

@test "check: a server that takes its time to end breaks rule 8" {
    check "$(script "trap 'sleep 3; kill \$!; wait; exit 0' TERM INT; '$RIGHT' & wait")" 8
    assert_failure 1
    assert_line --regexp "received: [3-4][0-9]{3}$"
    assert_line --partial "expected: at most 2000"
}

# The most that a check takes on the disk meanwhile is left in $LARGEST (KiB).
watch_disk() { # PID
    local now
    LARGEST=0
    while kill -0 "$1" 2>/dev/null; do
        now=$(du -sk "$TMPDIR" 2>/dev/null | cut -f 1) || true
        if [ "${now:-0}" -gt "$LARGEST" ]; then LARGEST=$now; fi
        sleep 0.1
    done
}

@test "check: a server that prints without end is no trouble" {
    export TMPDIR=$BATS_TEST_TMPDIR/tmp
    mkdir "$TMPDIR"
    local status=0
    env -u STAGE SERVER="$(script "yes $MARK & exec '$RIGHT'")" RULES=2 PATIENCE=3 "$CHECK" \
        >"$BATS_TEST_TMPDIR/output" 2>&1 3>&- &
    watch_disk $!
    wait $! || status=$?
    cat "$BATS_TEST_TMPDIR/output"
    assert_equal "$status" 0
    [ "$LARGEST" -gt 1000 ] || fail "it did not print"
    [ "$LARGEST" -lt 20000 ] || fail "$LARGEST KiB on the disk"
    [ "$(wc -c <"$BATS_TEST_TMPDIR/output")" -lt 10000 ] || fail "too much output"
}

@test "check: a server in the background: its exit cannot be judged, which is said" {
    check "setsid $RIGHT & sleep 0.1" 2,8
    assert_failure 1
    assert_line "rule  2  kept     A line at a time"
    assert_line "rule  8  skipped  Nothing is left behind"
    assert_line --partial "because:  the command ends at once"
    assert_line "1 kept, 0 broken, 1 skipped"
}

@test "check: a right server, and only the rules that were asked for" {
    run env -u SERVER STAGE=04 RULES=2,10 "$CHECK" 3>&-
    assert_success
    assert_line --index 0 "checking 04-select-server"
    assert_line "rule  2  kept     A line at a time"
    assert_line "rule 10  kept     Safe by default"
    assert_line "2 kept, 0 broken, 0 skipped"
    refute_line --partial "rule  1"
}

@test "check: bad usage is one line, exit status 2" {
    run env -u SERVER -u STAGE "$CHECK"
    assert_failure 2
    assert_output "check: which server? make check SERVER=./my-server, or make check STAGE=04"
    run env -u SERVER STAGE=07 "$CHECK"
    assert_failure 2
    assert_output "check: no server in stage '07'; there are 02 to 06, as in STAGE=04"
    run env -u STAGE SERVER=x RULES=2,11 "$CHECK"
    assert_failure 2
    assert_output "check: no rule '11'; there are 1 to 10, as in RULES=2,3"
    run env -u STAGE SERVER=x RULES=, "$CHECK"
    assert_failure 2
    assert_output "check: no rule in RULES=','; there are 1 to 10, as in RULES=2,3"
    run env STAGE=04 SERVER=./mine "$CHECK"
    assert_failure 2
    assert_output "check: STAGE=04 or SERVER=./mine? one of them, not both"
    run env -u STAGE SERVER=x PATIENCE=soon "$CHECK"
    assert_failure 2
    assert_output "check: PATIENCE is in whole seconds, as in PATIENCE=5, not 'soon'"
    run env -u STAGE SERVER=x SEED=x "$CHECK"
    assert_failure 2
    assert_output "check: SEED is a number, as in SEED=4711, not 'x'"
}

@test "check: in a folder with a blank in its name" {
    local copy="$BATS_TEST_TMPDIR/a copy"
    mkdir "$copy"
    (cd "$BATS_TEST_DIRNAME/../.." && cp -R rot13.? 04-* tests "$copy")
    run env -u SERVER STAGE=04 RULES=2,9 "$copy/tests/check" 3>&-
    assert_success
    assert_line "2 kept, 0 broken, 0 skipped"
}

@test "check: a port that is taken is told" {
    "$MARK" -lk 127.0.0.1 40713 3>&- &
    local taken=$!
    wait_until port_is_taken || fail "nc does not listen"
    check "$MARK -lk 127.0.0.1 40713"
    kill "$taken"
    wait "$taken" || true
    assert_failure 1
    assert_output "rot13-client: 127.0.0.1:40713 is not free: Address already in use; end what listens there (ss -ltnp shows it)"
    [ "$("$CLIENT" free 2>&1)" = "" ]
}

@test "check: interrupted, it leaves nothing running" {
    env -u STAGE SERVER="$MARK -lk 127.0.0.1 40713" RULES=2,4 PATIENCE=5 "$CHECK" >"$BATS_TEST_TMPDIR/output" 2>&1 3>&- &
    local pid=$!
    # The first rule is judged: it is about to try the second, in which nc keeps it waiting, or does so.
    PATIENCE=60 wait_until grep -q "^rule" "$BATS_TEST_TMPDIR/output" || fail "$(cat "$BATS_TEST_TMPDIR/output")"
    PATIENCE=60 wait_until port_is_taken || fail "rule 4 has started no server"
    kill "$pid"
    wait "$pid" || true
    wait_until nothing_runs || fail "$(pgrep -af "$BATS_TEST_TMPDIR")"
}
