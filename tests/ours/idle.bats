# What the server costs while nobody says anything: stage 03 a whole core, by
# design, the others nothing.

load ../server.bash

@test "idle, it uses $IDLE_COST" {
    start_server
    play 'A connects' 'B connects' 'C connects' 'C sends mid-line' 'C hears nothing' \
        'C hears nothing' 'C hears nothing' 'C hears nothing' 'C hears nothing' 3>&- &
    wait_until has_clients 3
    watch_a_second
    if [ -n "${SPINS-}" ]; then
        [ $((10 * AWAKE)) -ge $((8 * LOOKS)) ] ||
            expect "looked at $LOOKS times in a second; found running" "$AWAKE times" "nearly every time"
        [ "$USED" -ge 5 ] || expect "processor used in a second (hundredths)" "$USED" "nearly 100"
    else
        expect_at_most "processor used in a second (hundredths)" "$USED" 3
        expect_at_most "looked at $LOOKS times in a second; found running (times)" "$AWAKE" 2
    fi
    wait $!
}
