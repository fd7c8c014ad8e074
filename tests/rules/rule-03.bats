# Half-close is honoured
#
# why: printf 'Hello\n' | nc -N host port is how scripts talk to servers: say
#      all, say that it is all, read the answer. A server that closes at the end
#      of the input throws the answer away.

load ../server.bash

@test "rule 3: who says a line and shuts down hears the answer, twenty times" {
    start_server
    local received status
    for _ in {1..20}; do
        status=0
        received=$(printf 'Hello\n' | timeout "$PATIENCE" nc -N 127.0.0.1 40713) || status=$?
        expect "sent Hello and end of file, with nc -N" "$received" Uryyb
        expect "got the answer; status of nc (124: the connection was never closed)" "$status" 0
    done
}

end_of_input_is_there() {
    ss -Htn state close-wait sport = :40713 | grep -q .
}

@test "rule 3: a line and the end of input that are there together" {
    start_server
    # The server is stopped while the client speaks, or it could be quick enough to
    # answer between the two.
    local stopped
    stopped=$(descendants "$GUARD")
    # shellcheck disable=SC2086 # several numbers, several words
    kill -STOP $stopped
    play 'A connects' 'A sends Hello\n' 'A half-closes' 'A hears Uryyb\n' 'A hears the end' &
    local player=$!
    wait_until end_of_input_is_there
    # shellcheck disable=SC2086
    kill -CONT $stopped
    wait "$player"
}

@test "rule 3: who says nothing and shuts down hears the end" {
    start_server
    play 'A connects' 'A half-closes' 'A hears the end'
}

@test "rule 3: what is on its way arrives, then the end" {
    start_server
    play 'A connects' 'A sends 10000 times 123456789\n' 'A half-closes' \
        'A hears 10000 times 123456789\n' 'A hears the end'
}

# Until both ends of the connection have been as they are for half a second: the
# server has read all, or has stopped reading.  Ten seconds at most.
nothing_moves() {
    local now before='' still=0
    for _ in {1..100}; do
        now=$(ss -Htn '( sport = :40713 or dport = :40713 )')
        if [ -z "$now" ] || [ "$now" != "$before" ]; then still=0; fi
        before=$now still=$((still + 1))
        if [ "$still" -gt 5 ]; then return; fi
        sleep 0.1
    done
}

@test "rule 3: replies that had to wait arrive, then the end" {
    start_server
    # The client says all, and shuts down if it can, before it begins to read: what
    # a server still holds at the end of the input is not drained in the meantime.
    # Digits are their own ROT13.
    awk 'BEGIN { for (i = 1; i <= 31000; ++i) printf "%0999d\n", i }' >"$BATS_TEST_TMPDIR/numbers"
    timeout $((20 * SLOW)) nc -N 127.0.0.1 40713 <"$BATS_TEST_TMPDIR/numbers" 3>&- |
        {
            nothing_moves
            cat
        } >"$BATS_TEST_TMPDIR/received"
    expect "sent $(wc -c <"$BATS_TEST_TMPDIR/numbers") bytes, shut down, then read; bytes" \
        "$(wc -c <"$BATS_TEST_TMPDIR/received")" "$(wc -c <"$BATS_TEST_TMPDIR/numbers")"
    cmp "$BATS_TEST_TMPDIR/numbers" "$BATS_TEST_TMPDIR/received"
}

@test "rule 3: replies to slow readers arrive, then the end" {
    start_server
    slow_readers
}
