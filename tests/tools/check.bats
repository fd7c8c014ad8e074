# tests/check itself: what it says of servers that are not right, and that it leaves
# nothing behind whatever they do.

bats_load_library bats-support
bats_load_library bats-assert

CHECK=$BATS_TEST_DIRNAME/../check
CLIENT=$BATS_TEST_DIRNAME/../rot13-client

setup() {
    # A mark by which to find again what a test has started.
    MARK=$BATS_TEST_TMPDIR/mark
    ln -s "$(command -v nc)" "$MARK"
}

check() { # SERVER [RULES]
    run env -u STAGE SERVER="$1" RULES="${2-2}" PATIENCE=1 "$CHECK" 3>&-
}

teardown() {
    run pgrep -f "$BATS_TEST_TMPDIR"
    assert_output ""
    "$CLIENT" free
}

@test "check: a command that does not listen is told, with what it printed" {
    check "echo I am broken; exec sleep 100"
    assert_failure 1
    assert_line "check: after 1 s nothing listens on 127.0.0.1:40713; 'echo I am broken; exec sleep 100' printed:"
    assert_line "I am broken"
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

@test "check: a server that ignores SIGTERM is killed, with all that it started" {
    check "trap '' TERM; $MARK -lk 127.0.0.1 40713 & while :; do sleep 1; done"
    assert_failure 1
}

@test "check: a server that prints without end is no trouble" {
    check "yes $MARK & exec $MARK -lk 127.0.0.1 40713"
    assert_failure 1
    [ "${#output}" -lt 10000 ] || fail "${#output} characters of output"
}

@test "check: a server in the background: its exit cannot be judged, which is said" {
    local stage=$BATS_TEST_DIRNAME/../../04-select-server/select-server
    ln -s "$stage" "$BATS_TEST_TMPDIR/server"
    check "setsid $BATS_TEST_TMPDIR/server & sleep 0.1" 2,8
    assert_failure 1
    assert_line "rule  2  kept     A line at a time"
    assert_line "rule  8  skipped  Nothing is left behind"
    assert_line --partial "because:  the command ends at once"
    assert_line "1 kept, 0 broken, 1 skipped"
}

@test "check: a right server, and only the rules that were asked for" {
    run env -u SERVER STAGE=04 RULES=2,10 "$CHECK" 3>&-
    assert_success
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
}

@test "check: a port that is taken is told" {
    "$MARK" -lk 127.0.0.1 40713 3>&- &
    local taken=$!
    until ! "$CLIENT" free 2>/dev/null; do sleep 0.02; done
    check "$MARK -lk 127.0.0.1 40713"
    kill "$taken"
    wait "$taken" || true
    assert_failure 1
    assert_line --partial "127.0.0.1:40713 is not free"
}

@test "check: interrupted, it leaves nothing running" {
    env -u STAGE SERVER="$MARK -lk 127.0.0.1 40713" RULES=2,3 PATIENCE=5 "$CHECK" >/dev/null 2>&1 3>&- &
    local pid=$!
    until ! "$CLIENT" free 2>/dev/null; do sleep 0.02; done
    sleep 0.5
    kill "$pid"
    wait "$pid" || true
    for _ in {1..100}; do
        if ! pgrep -f "$BATS_TEST_TMPDIR" >/dev/null; then break; fi
        sleep 0.05
    done
}
