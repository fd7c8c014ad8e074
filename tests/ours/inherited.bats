# What the server was not asked for and has all the same: children that a shell started
# and left to it by becoming the server, `something & exec ./fork-server`. They are nobody
# to wait for.

bats_load_library bats-support
bats_load_library bats-assert
load ../processes.bash

has_ended() { # PID
    ! kill -0 "$1" 2>/dev/null
}

@test "children that are not its own do not keep it from ending" {
    cd "$BATS_TEST_TMPDIR"
    # One ends before the clients come, one outlives the server.
    bash -c 'true & sleep 60 & echo $! >sleeper && exec "$0"' "$PROGRAM" >out 3>&- &
    local server=$!
    wait_until test -s sleeper
    started "$(cat sleeper)"
    started "$server"
    wait_until grep -q listening out

    exec 7<>/dev/tcp/127.0.0.1/40713 8<>/dev/tcp/127.0.0.1/40713
    local answer
    for fd in 7 8; do
        echo Hello >&"$fd"
        read -r -t 10 -u "$fd" answer
        assert_equal "$answer" Uryyb
    done

    kill "$server"
    wait_until has_ended "$server" || fail "it still runs"
    wait "$server"
    for fd in 7 8; do
        run timeout 5 cat <&"$fd"
        assert_success # else there is still somebody at the other end
    done
}
