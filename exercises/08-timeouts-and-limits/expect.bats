load ../expect.bash

export IDLE_SECONDS=1

@test "who says nothing is told goodbye, and then it is over" {
    hint "bufferevent_set_timeouts() has errorcb() called with BEV_EVENT_TIMEOUT; what is freed is not sent"
    start_server
    play 'A connects' 'A hears goodbye\n' 'A hears the end'
}

@test "who stops in the middle of a line is told goodbye too" {
    hint "errorcb() with BEV_EVENT_TIMEOUT: goodbye goes into the output, and writecb() frees"
    start_server
    play 'A connects' 'A sends Hello\nHel' 'A hears Uryyb\n' 'A hears goodbye\n' 'A hears the end'
}

@test "who speaks in time may stay" {
    hint "the time for reading counts from the last byte that came in"
    start_server
    local speak=('A sends a' 'A hears nothing' 'A hears nothing')
    play 'A connects' "${speak[@]}" "${speak[@]}" "${speak[@]}" "${speak[@]}" \
        'A sends \n' 'A hears nnnn\n'
}

@test "who still has replies to read may stay" {
    hint "bufferevent_set_timeouts() takes a time for reading and one for writing: which is meant?"
    start_server
    # B's chat takes 1.8 seconds.
    local chat=('B sends b\n' 'B hears o\n' 'B hears nothing' 'B hears nothing' 'B hears nothing')
    play 'A connects' 'A sends until stuck' 'B connects' "${chat[@]}" "${chat[@]}" "${chat[@]}" \
        'A hears all of it' 'A sends Hello\n' 'A hears Uryyb\n'
}

milliseconds() {
    date +%s%3N
}

@test "at RATE=100000, three hundred thousand bytes take two seconds, and come back" {
    hint "whoever is made to wait is not silent: what did the client hear instead?"
    export RATE=100000
    start_server
    local begin took
    begin=$(milliseconds)
    play 'A connects' 'A sends 30000 times 123456789\n' 'A hears 30000 times 123456789\n'
    took=$(($(milliseconds) - begin))
    hint "bufferevent_set_rate_limit() with ev_token_bucket_cfg_new(); a bucket that holds much more than a second brings limits little"
    [ "$took" -ge 1500 ] || expect "milliseconds for 300000 bytes at RATE=100000" "$took" "about 2000"
    hint "the bucket's rates are in bytes per tick, and a tick is a second if you do not say otherwise"
    expect_at_most "milliseconds for 300000 bytes at RATE=100000" "$took" $((4500 * SLOW))
}

@test "at RATE=100000, a second's worth is all that silence saves up" {
    hint "ev_token_bucket_cfg_new() takes a rate and a burst: how much may the bucket hold?"
    export RATE=100000 IDLE_SECONDS=10
    start_server
    play -v -q 4000 'A connects' 'A hears nothing' 'A sends 30000 times 123456789\n' \
        'A hears 30000 times 123456789\n' >"$BATS_TEST_TMPDIR/scene"
    local took # from the end of the silence
    took=$(awk '/hears nothing/ { begin = $1 } END { print $1 - begin }' "$BATS_TEST_TMPDIR/scene")
    [ "$took" -ge 1500 ] ||
        expect "milliseconds for 300000 bytes after four seconds of silence" "$took" "about 2000"
}

@test "at RATE=100000, one client that has used up its share delays no other" {
    hint "the limit is for each bufferevent, not for all together"
    export RATE=100000
    start_server
    local begin took
    begin=$(milliseconds)
    play 'A connects' 'A sends 30000 times 123456789\n' 'B connects' 'B sends Hello\n' 'B hears Uryyb\n'
    took=$(($(milliseconds) - begin))
    expect_at_most "milliseconds for a line beside a client that is held back" "$took" $((700 * SLOW))
}
