# Memory is bounded
#
# why: A client that sends faster than it reads would fill the server's memory
#      until the system kills it, and everybody's connection with it.

load ../server.bash

# A few buffers of MAX_LINE for each client. Another language may take memory in bigger pieces.
most() {
    if [ -n "${OURS-}" ]; then echo 512; else echo 4096; fi
}

watch_memory() { # PID BEFORE: while that one runs; the most that it grew is left in $GREW
    local grown
    GREW=0
    while kill -0 "$1" 2>/dev/null; do
        grown=$(($(memory) - $2))
        if [ "$grown" -gt "$GREW" ]; then GREW=$grown; fi
        sleep 0.1
    done
}

@test "rule 5: a client that never reads is not read from either" {
    its_memory_is_its_own
    start_server
    play 'A connects' 'A sends Hello\n' 'A hears Uryyb\n'
    warm_up
    local before status=0
    before=$(memory)
    play 'A connects' 'A sends until stuck' 'B connects' 'B sends until stuck' \
        'C connects' 'C sends until stuck' 'D connects' 'D sends 1000 times x' &
    watch_memory $! "$before"
    wait $! || status=$?
    echo "# memory grew by $GREW KiB for three clients that never read" >&3
    expect_at_most "three clients sent and never read; memory grew by (KiB)" "$GREW" "$(most)"
    return "$status"
}

@test "rule 5: a line that does not end is not kept whole" {
    its_memory_is_its_own
    start_server
    play 'A connects' 'A sends Hello\n' 'A hears Uryyb\n'
    warm_up
    local before silence=('A hears nothing' 'A hears nothing' 'A hears nothing' 'A hears nothing')
    before=$(memory)
    # That it is answered, in pieces, is rule 2's. One that keeps it is watched for a while.
    play 'A connects' 'A sends 20000000 times x' "${silence[@]}" "${silence[@]}" \
        >"$BATS_TEST_TMPDIR/scene" 2>&1 &
    watch_memory $! "$before"
    wait $! || true
    expect_at_most "sent 20 MB of a line; memory grew by (KiB)" "$GREW" "$(most)"
}

@test "rule 5: what waited is all there when the client reads on" {
    start_server
    play 'A connects' 'A sends until stuck' 'A hears all of it' 'A sends Hello\n' 'A hears Uryyb\n'
}
