load ../expect.bash

threads() { # their numbers
    (cd "/proc/$(server_pid)/task" && echo *)
}

@test "a hundred clients, and no more than ten threads" {
    hint "README.md, 'The task': all threads are made before the first client comes"
    start_server
    mkfifo "$BATS_TEST_TMPDIR/hold"
    PATIENCE=1 client crowd 100 --hold --at-least 1 <"$BATS_TEST_TMPDIR/hold" \
        >"$BATS_TEST_TMPDIR/crowd" 2>&1 3>&- &
    local players=$!
    exec 7>"$BATS_TEST_TMPDIR/hold"
    wait_until grep -q holding "$BATS_TEST_TMPDIR/crowd"
    local now
    now=$(threads | wc -w)
    exec 7>&-
    wait "$players" || cat "$BATS_TEST_TMPDIR/crowd"
    expect_at_most "100 clients connected; threads" "$now" 10
}

@test "the same threads serve one client after another" {
    hint "README.md, 'Hints': what does a thread do when its client has left?"
    start_server
    play 'A connects' 'A sends Hello\n' 'A hears Uryyb\n'
    local before
    before=$(threads)
    [ "$(wc -w <<<"$before")" -ge 8 ] ||
        expect "nobody is connected; threads" "$(wc -w <<<"$before")" "8 and the main thread"
    client churn 100
    expect "the threads' numbers, 100 clients later" "$(threads)" "$before"
}

@test "eight clients are served at once, whoever of them is silent" {
    hint "README.md, 'Hints': do all POOL_SIZE threads take clients?"
    start_server
    play 'A connects' 'B connects' 'C connects' 'D connects' 'E connects' 'F connects' \
        'G connects' 'G sends mid-line' 'H connects' 'H sends Hello\n' 'H hears Uryyb\n'
}

@test "the ninth client waits, and is served when one of the eight leaves" {
    hint "README.md, 'What to predict': where is the ninth client while it waits?"
    start_server
    local steps=()
    for name in A B C D E F G H; do
        steps+=("$name connects" "$name sends Hello\\n" "$name hears Uryyb\\n")
    done
    play "${steps[@]}" 'Ninth connects' 'Ninth sends Hello\n' 'Ninth hears nothing' \
        'D closes' 'Ninth hears Uryyb\n' 'A sends Hello\n' 'A hears Uryyb\n'
}

@test "SIGTERM ends it within a second, and not when the clients have left" {
    hint "README.md, 'Hints': how do I wake threads that wait in accept()?"
    start_server
    sigterm_with_two_clients
    # A second, and another for a machine that is busy.
    expect_at_most "milliseconds from SIGTERM to the end" "$TOOK" 2000
    expect "exit status" "$STATUS" 0
}

@test "SIGTERM ends every thread before main() is over" {
    hint "README.md, 'Hints': how do I wake threads that wait in accept()? What main() leaves to exit() dies in the middle of its work"
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
