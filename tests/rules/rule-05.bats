# Memory is bounded
#
# why: A client that sends faster than it reads would fill the server's memory
#      until the system kills it, and everybody's connection with it.

load ../server.bash

@test "rule 5: a client that never reads is not read from either" {
    its_memory_is_its_own
    start_server
    play 'A connects' 'A sends Hello\n' 'A hears Uryyb\n'
    local before
    before=$(memory)
    play 'A connects' 'A sends until stuck' 'B connects' 'B sends until stuck' \
        'C connects' 'C sends until stuck' 'D connects' 'D sends 1000 times x' &
    local players=$! grown most=0
    while kill -0 "$players" 2>/dev/null; do
        grown=$(($(memory) - before))
        if [ "$grown" -gt "$most" ]; then most=$grown; fi
        sleep 0.1
    done
    wait "$players"
    echo "# memory grew by $most KiB for three clients that never read" >&3
    expect_at_most "three clients sent and never read; memory grew by (KiB)" "$most" 4096
}

@test "rule 5: what waited is all there when the client reads on" {
    start_server
    play 'A connects' 'A sends until stuck' 'A hears all of it' 'A sends Hello\n' 'A hears Uryyb\n'
}
