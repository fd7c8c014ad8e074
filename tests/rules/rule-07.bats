# Out of descriptors, processes or slots is not an accident
#
# why: Every server reaches a limit one day. One that spins there, fills the
#      disk with its log or drops the clients it has makes a bad day worse.

load ../server.bash

# A crowd that stays until hold_end; $HELD says how it went.
hold_start() { # ARGUMENT...
    mkfifo "$BATS_TEST_TMPDIR/hold"
    PATIENCE=1 client crowd "$@" --hold <"$BATS_TEST_TMPDIR/hold" >"$BATS_TEST_TMPDIR/crowd" 2>&1 3>&- &
    HELD=$!
    exec 7>"$BATS_TEST_TMPDIR/hold"
    wait_until held || {
        cat "$BATS_TEST_TMPDIR/crowd"
        return 1
    }
}

held() {
    kill -0 "$HELD" 2>/dev/null || return 2
    grep -qs holding "$BATS_TEST_TMPDIR/crowd" || return 1
}

hold_end() {
    exec 7>&-
    wait "$HELD" || {
        cat "$BATS_TEST_TMPDIR/crowd"
        return 1
    }
}

@test "rule 7: many clients at once ($CROWD)" {
    start_server $((CROWD + 100))
    # A backlog that is too short makes clients wait for seconds, one after another.
    local result
    result=$(timeout $((20 * SLOW)) "$CLIENT" crowd -t $((20 * SLOW)) "$CROWD") ||
        expect "$CROWD clients connect and ask, all at once" "not done within 20 s" "done in a second or so"
    echo "# $result" >&3
}

@test "rule 7: at the limit it serves those it has, and rests" {
    start_server 64
    hold_start 100 --at-least 1
    local before used
    before=$(cpu_time)
    sleep 1
    used=$(($(cpu_time) - before))
    expect_at_most "lines in the log after a second at the limit" \
        "$(wc -l <"$BATS_TEST_TMPDIR/err")" 10
    if [ -z "${SPINS-}" ]; then
        expect_at_most "a second at the limit; processor used (hundredths of a second)" "$used" 50
    fi
    hold_end
}

@test "rule 7: who had to wait is served when a place is free" {
    start_server 64
    hold_start 100 --at-least 1
    PATIENCE=15 play 'Late connects' 'Late sends Hello\n' 'Late hears Uryyb\n' 3>&- 7>&- &
    local late=$!
    hold_end
    wait "$late"
    play 'A connects' 'A sends Hello\n' 'A hears Uryyb\n'
}

@test "rule 7: more clients than a select() can watch" {
    start_server 4096
    hold_start 1100 --at-least 900
    hold_end
    play 'A connects' 'A sends Hello\n' 'A hears Uryyb\n'
}
