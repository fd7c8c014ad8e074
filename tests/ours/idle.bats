# What the server costs while nobody says anything: stage 03 a whole core, by
# design, the others nothing.

load ../server.bash

@test "idle, it uses $IDLE_COST" {
    start_server
    play 'A connects' 'B connects' 'C connects' 'C sends mid-line' 'C hears nothing' \
        'C hears nothing' 'C hears nothing' 'C hears nothing' 'C hears nothing' 3>&- &
    local players=$! before used
    wait_until has_clients 3
    before=$(cpu_time)
    wait "$players" # a second
    used=$(($(cpu_time) - before))
    if [ -n "${SPINS-}" ]; then
        # On a busy machine it may not get all of the core, but it takes what there is.
        [ "$used" -ge 25 ] || expect "processor used in a second (hundredths)" "$used" "nearly 100"
    else
        expect_at_most "processor used in a second (hundredths)" "$used" 3
    fi
}
