load ../expect.bash

@test "the clients are watched edge-triggered" {
    hint "README.md, 'The task': level-triggered it is right, and not yet what is asked for"
    start_server
    play 'A connects' 'A sends Hello\n' 'A hears Uryyb\n' 'A hears nothing' 'A hears nothing' 3>&- &
    local players=$!
    wait_until has_clients 1
    sleep 0.2
    # The kernel's own list: for each descriptor the events, EPOLLET is 80000000.
    grep -h '^tfd:' "/proc/$(server_pid)/fdinfo/"* >"$BATS_TEST_TMPDIR/watched"
    wait "$players"
    local highest
    highest=$(sort -k 2 -n "$BATS_TEST_TMPDIR/watched" | tail -n 1)
    [[ $highest =~ events:\ +[89a-f][0-9a-f]{7} ]] ||
        expect "what the kernel watches the client for" "$highest" "with EPOLLET, 80000000"
}

@test "ten that come at the same time are all answered" {
    hint "README.md, 'What to predict': ten in the backlog, how many edges? man 7 epoll"
    start_server
    local pid
    pid=$(server_pid)
    kill -STOP "$pid"
    client crowd 10 3>&- &
    local players=$!
    wait_until has_clients 10
    kill -CONT "$pid"
    wait "$players"
}

@test "a line and the end of input that come together are both seen" {
    hint "README.md, 'Hints': two things happened, how many edges? When may you stop reading?"
    start_server
    local pid
    pid=$(server_pid)
    kill -STOP "$pid"
    play 'A connects' 'A sends Hello\n' 'A half-closes' 'A hears Uryyb\n' 'A hears the end' 3>&- &
    local players=$!
    sleep 0.3
    kill -CONT "$pid"
    wait "$players"
}

@test "idle, it uses no processor time" {
    hint "README.md, 'Hints': who may stay on a list of your own, and for how long?"
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

@test "out of descriptors: twenty clients, a few at a time, in the order in which they came" {
    hint "README.md, 'Hints': after accept() has failed, will there be another edge?"
    start_server 16
    local pid steps=()
    pid=$(server_pid)
    kill -STOP "$pid"
    for i in {1..20}; do
        steps+=("C$i connects" "C$i sends Hello\\n")
    done
    for i in {1..20}; do
        steps+=("C$i hears Uryyb\\n" "C$i closes")
    done
    play "${steps[@]}" 3>&- &
    local players=$!
    wait_until has_clients 20
    kill -CONT "$pid"
    wait "$players"
}
