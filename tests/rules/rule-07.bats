# Out of descriptors, processes or slots is not an accident
#
# why: Every server reaches a limit one day. One that spins there, fills the
#      disk with its log or drops the clients it has makes a bad day worse.

load ../server.bash

# valgrind takes what accept() brings beyond the limit, and closes it, before the
# server can know.
its_descriptors_are_its_own() {
    [ -z "${WRAP-}" ] || skip "at the limit it is the tool it runs under that turns clients away"
}

# A crowd that stays until hold_end; $HELD says how it went.
hold_start() { # ARGUMENT...
    mkfifo "$BATS_TEST_TMPDIR/hold"
    : >"$BATS_TEST_TMPDIR/crowd"
    client crowd "$@" --hold <"$BATS_TEST_TMPDIR/hold" >"$BATS_TEST_TMPDIR/crowd" 2>&1 3>&- &
    HELD=$!
    exec 7>"$BATS_TEST_TMPDIR/hold"
    PATIENCE=$((2 * PATIENCE)) wait_until held || {
        echo "the clients (crowd $*) were not all connected and answered in time; it printed:"
        cat "$BATS_TEST_TMPDIR/crowd"
        return 1
    }
}

held() {
    kill -0 "$HELD" 2>/dev/null || return 3
    grep -q holding "$BATS_TEST_TMPDIR/crowd" || return 1
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
    # (On a busy machine a process for each may take long, too: that is not tested here.)
    local result most=$((100 * SLOW))
    if [ -n "${CHECK-}" ]; then most=20; fi
    result=$(timeout "$most" "$CLIENT" crowd -t "$most" "$CROWD") || {
        [ "$?" -eq 124 ] || return 1 # and has said why
        expect "$CROWD clients connect and ask, all at once" "not done within $most s" "done in a second or so"
    }
    echo "# $result" >&3
}

@test "rule 7: at the limit it serves those it has, and rests" {
    its_descriptors_are_its_own
    start_server 64
    hold_start 100 --at-least 1
    # Somebody else's may rest for a second and spin after that.
    if [ -z "${OURS-}" ]; then sleep 2; fi
    watch_a_second
    expect_at_most "lines in the log after a second at the limit" \
        "$(wc -l <"$BATS_TEST_TMPDIR/err")" 10
    if [ -z "${SPINS-}" ]; then
        expect_at_most "a second at the limit; processor used (hundredths of a second)" "$USED" 20
        expect_at_most "looked at $LOOKS times in a second at the limit; found running" "$AWAKE" $((LOOKS / 2))
    fi
    hold_end
}

# One who comes at the limit, and waits.
latecomer_is_served() {
    PATIENCE=$((8 * SLOW)) play 'Late connects' 'Late sends Hello\n' 'Late hears Uryyb\n' 3>&- 7>&- &
    local late=$!
    sleep 0.5 # not turned away meanwhile
    hold_end
    wait "$late"
}

@test "rule 7: who had to wait is served when a place is free" {
    its_descriptors_are_its_own
    start_server 64
    hold_start 100 --at-least 1
    latecomer_is_served
    play 'A connects' 'A sends Hello\n' 'A hears Uryyb\n'
}

@test "rule 7: more clients than a select() can watch" {
    its_descriptors_are_its_own
    start_server 4096
    hold_start "${MANY:-1100}" --at-least "${MANY:-900}"
    latecomer_is_served
    play 'A connects' 'A sends Hello\n' 'A hears Uryyb\n'
}
