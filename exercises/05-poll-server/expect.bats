load ../expect.bash

@test "two thousand clients at once, all of them served" {
    hint "README.md, 'The task': which table, and which type, has room for FD_SETSIZE and no more?"
    start_server 4096
    client crowd 2000
}

@test "with idle clients, and one that never reads, it rests" {
    hint "README.md, 'Hints': for what is poll() to wake you, and for whom?"
    start_server
    play 'A connects' 'B connects' 'B sends mid-line' 'C connects' 'C sends until stuck' \
        'A hears nothing' 'A hears nothing' 'A hears nothing' 'A hears nothing' \
        'A hears nothing' 'A hears nothing' 'A hears nothing' 'A hears nothing' 3>&- &
    local players=$! before
    wait_until has_clients 3
    sleep 0.6
    before=$(cpu_time)
    sleep 1
    expect_at_most "nobody says anything; processor used in a second (hundredths)" \
        "$(($(cpu_time) - before))" 20
    wait "$players"
}
