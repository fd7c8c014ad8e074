# What the server costs while nobody says anything: stage 03 a whole core, by
# design, the others nothing.

load ../server.bash

@test "idle, it uses $IDLE_COST" {
    start_server
    play 'A connects' 'B connects' 'C connects' 'C sends mid-line' 'C hears nothing' \
        'C hears nothing' 'C hears nothing' 'C hears nothing' 'C hears nothing' 3>&- &
    local players=$! before used looks=0 awake=0
    wait_until has_clients 3
    before=$(cpu_time)
    # On a busy machine it may not get a whole core, but it never sleeps: R is running,
    # or waiting for nothing but a processor.
    while kill -0 "$players" 2>/dev/null; do # a second
        looks=$((looks + 1))
        ps -o state= --ppid "$GUARD" | grep -q R && awake=$((awake + 1))
        sleep 0.05
    done
    used=$(($(cpu_time) - before))
    if [ -n "${SPINS-}" ]; then
        [ $((10 * awake)) -ge $((8 * looks)) ] ||
            expect "looked at $looks times in a second; found running" "$awake times" "nearly every time"
        [ "$used" -ge 5 ] || expect "processor used in a second (hundredths)" "$used" "nearly 100"
    else
        expect_at_most "processor used in a second (hundredths)" "$used" 3
        expect_at_most "looked at $looks times in a second; found running (times)" "$awake" 2
    fi
}
