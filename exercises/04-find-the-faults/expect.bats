load ../expect.bash

# What the sanitizers said, for people.
findings() {
    sed -n -e 's/^.*runtime error: /runtime error: /p' -e 's/^SUMMARY: //p' "$BATS_TEST_TMPDIR/err" |
        sort -u | head -n 3
}

@test "1100 clients, and nothing is written past the end of anything" {
    hint "README.md, 'Hints': which is the first descriptor that does not fit into an fd_set?"
    build_with -fsanitize=address,undefined
    start_server 4096
    mkfifo "$BATS_TEST_TMPDIR/hold"
    PATIENCE=1 client crowd 1100 --hold --at-least 900 <"$BATS_TEST_TMPDIR/hold" \
        >"$BATS_TEST_TMPDIR/crowd" 2>&1 3>&- &
    local players=$! status=0
    exec 7>"$BATS_TEST_TMPDIR/hold"
    wait_until grep -q -e holding -e received "$BATS_TEST_TMPDIR/crowd"
    exec 7>&-
    wait "$players" || status=$?
    stop_server
    findings
    expect "1100 clients came and went; findings of the sanitizers" "$(findings | wc -l)" 0
    [ "$status" = 0 ] || cat "$BATS_TEST_TMPDIR/crowd"
    expect "1100 clients came and went; status of the client" "$status" 0
}

@test "a client that asks much and does not stay for the answer ends nobody but itself" {
    hint "docs/contract.md#rule-6: what does send() do when the other side is gone? man 7 signal"
    start_server
    local pid
    pid=$(server_pid)
    # All of it arrives, end of input too, and the client is gone, before the server
    # gets to see any of it.
    kill -STOP "$pid"
    play 'A connects' 'A sends 9000 times Hello\n' 'A half-closes' 'A closes'
    kill -CONT "$pid"
    play 'Witness connects' 'Witness sends Hello\n' 'Witness hears Uryyb\n'
    kill -0 "$pid"
}

@test "out of descriptors, it sleeps until a place is free" {
    hint "docs/contract.md#rule-7: for whom does select() return, if accept() cannot take anybody?"
    start_server 16
    local pid steps=() awake=0
    pid=$(server_pid)
    for i in {1..20}; do
        steps+=("C$i connects" "C$i sends Hello\\n")
    done
    # Long enough for the twenty looks, on a busy machine too.
    play -q 5000 "${steps[@]}" 'C1 hears Uryyb\n' 'C1 hears nothing' 3>&- &
    local players=$!
    wait_until has_clients 20
    sleep 0.3
    # Awake is who runs, and who would if the processor were free.
    for _ in {1..20}; do
        if grep -q '^State:.*R' "/proc/$pid/status"; then awake=$((awake + 1)); fi
        sleep 0.03
    done
    wait "$players"
    expect_at_most "looked 20 times; awake" "$awake" 5
}
