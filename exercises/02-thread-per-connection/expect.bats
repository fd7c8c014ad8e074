load ../expect.bash

# Twenty clients that stay until everybody_leaves.
twenty_clients() {
    mkfifo "$BATS_TEST_TMPDIR/hold"
    client crowd 20 --hold <"$BATS_TEST_TMPDIR/hold" >"$BATS_TEST_TMPDIR/crowd" 2>&1 3>&- &
    CROWD_PID=$!
    exec 7>"$BATS_TEST_TMPDIR/hold"
    wait_until grep -q holding "$BATS_TEST_TMPDIR/crowd"
}

everybody_leaves() {
    exec 7>&-
    wait "$CROWD_PID"
}

threads() {
    find "/proc/$(server_pid)/task" -mindepth 1 -maxdepth 1 | wc -l
}

threads_are() { # N
    [ "$(threads)" = "$1" ]
}

@test "one process, whatever the number of clients" {
    hint "README.md, 'The task': pthread_create() in the place of fork()"
    start_server
    twenty_clients
    expect_at_most "20 clients connected; processes" "$(processes)" 1
    everybody_leaves
}

@test "a thread for each client, and gone when the client goes" {
    hint "README.md, 'The task'; a thread ends when its function returns"
    start_server
    local before
    before=$(threads)
    twenty_clients
    expect "20 clients connected; threads more than before" "$(($(threads) - before))" 20
    everybody_leaves
    wait_until threads_are "$before" ||
        expect "all have left; threads" "$(threads)" "$before"
}

@test "SIGTERM ends it within a second, and not when the clients have left" {
    hint "README.md, 'Hints': SIGTERM: how do I end threads that wait in recv()?"
    start_server
    sigterm_with_two_clients
    # A second, and another for a machine that is busy.
    expect_at_most "milliseconds from SIGTERM to the end" "$TOOK" 2000
    expect "exit status" "$STATUS" 0
}

@test "SIGTERM ends every thread before main() is over" {
    hint "README.md, 'Hints': SIGTERM: how do I end threads that wait in recv()? What main() leaves to exit() dies in the middle of its work"
    build_counting_threads
    start_server
    sigterm_with_two_clients
    expect "SIGTERM with two clients connected; exit status (99: threads still ran)" "$STATUS" 0
}

@test "no two threads at the same variable: ThreadSanitizer finds nothing" {
    hint "README.md, 'Hints': what do two threads share? Try it: ../build start.c start -fsanitize=thread"
    build_with -fsanitize=thread
    start_server
    client churn 200
    sigterm_with_two_clients
    local found
    found=$(grep -c '^WARNING: ThreadSanitizer' "$BATS_TEST_TMPDIR/err") || true
    sed -n 's/^SUMMARY: //p' "$BATS_TEST_TMPDIR/err" | sort -u | head -n 3
    expect "200 clients came and went, then SIGTERM; findings" "$found" 0
    expect "exit status after SIGTERM" "$STATUS" 0
}
