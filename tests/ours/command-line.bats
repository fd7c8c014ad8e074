# The command line and the first line of output, which the five servers share.

bats_require_minimum_version 1.5.0
bats_load_library bats-support
bats_load_library bats-assert
load ../processes.bash

SERVER_NAME=${PROGRAM##*/}

start() { # ARGUMENT...: leaves the line that it prints in $LINE
    "$PROGRAM" "$@" >"$BATS_TEST_TMPDIR/out" 3>&- &
    started $!
    wait_until grep -q . "$BATS_TEST_TMPDIR/out"
    LINE=$(cat "$BATS_TEST_TMPDIR/out")
}

line_is() { # ADDRESS:PORT
    case $SERVER_NAME in
        libevent-events | bufferevents) [[ $LINE == "$SERVER_NAME: listening on $1 using "[a-z]* ]] ;;
        *) [ "$LINE" = "$SERVER_NAME: listening on $1" ] ;;
    esac || fail "it printed: $LINE"
}

@test "without arguments it listens on 127.0.0.1:40713 and says so" {
    start
    line_is 127.0.0.1:40713
}

@test "PORT and ADDRESS are obeyed" {
    local port
    port=$(free_port)
    start "$port" 127.0.0.2
    line_is "127.0.0.2:$port"
    assert_equal "$(echo Hello | nc -N 127.0.0.2 "$port")" Uryyb
    run nc -z 127.0.0.1 "$port"
    assert_failure
}

@test "an IPv6 address is obeyed, and printed in brackets" {
    [ -e /proc/net/if_inet6 ] || skip "no IPv6 on this machine"
    local port
    port=$(free_port)
    start "$port" ::1
    line_is "[::1]:$port"
    assert_equal "$(echo Hello | nc -N ::1 "$port")" Uryyb
}

@test "port 0 takes a free one and says which" {
    start 0
    local port=${LINE##*127.0.0.1:}
    port=${port%% *}
    [[ $port =~ ^[1-9][0-9]*$ ]] || fail "it printed: $LINE"
    assert_equal "$(echo Hello | nc -N 127.0.0.1 "$port")" Uryyb
}

@test "bad arguments get one line with the usage, exit status 2" {
    local arguments
    for arguments in "x" "-1" "65536" "999999" "40713x" "''" "' 40713'" "--help" \
        "40713 localhost" "40713 300.0.0.1" "40713 ''" "40713 127.0.0.1 more"; do
        eval "run timeout 5 '$PROGRAM' $arguments"
        assert_equal "$arguments: $status, ${#lines[@]} line" "$arguments: 2, 1 line"
        assert_output --partial "usage: $SERVER_NAME [PORT [ADDRESS]]"
    done
}

@test "a taken port: the line says how to choose another" {
    start
    run --separate-stderr timeout 5 "$PROGRAM"
    assert_failure 1
    assert_equal "$output" ""
    # The reason is in the C library's words: glibc's or musl's.
    [[ $stderr == "$SERVER_NAME: cannot listen on 127.0.0.1:40713: Address "*" (another port: add PORT=40714 to make run)" ]] ||
        fail "it printed: $stderr"
}

@test "an address that is not this machine's: one line, exit status 1" {
    run timeout 5 "$PROGRAM" 40713 192.0.2.1
    assert_failure 1
    assert_equal "${#lines[@]}" 1
    assert_output --regexp "^$SERVER_NAME: cannot listen on 192.0.2.1:40713: .*(assign|[Aa]ddress)"
}

@test "a stdout that cannot be written to: one line, exit status 1" {
    [ -e /dev/full ] || skip "no /dev/full on this machine"
    run timeout 5 sh -c "'$PROGRAM' >/dev/full"
    assert_failure 1
    assert_output "$SERVER_NAME: cannot start: No space left on device"
}

@test "stopped by Ctrl-C, make run ends without an error line" {
    [ -z "${SLOW-}" ] || skip "the server is run under something, make run would not"
    make_run -C "$(dirname "$PROGRAM")"
    wait_until grep -q "listening on 127.0.0.1:40713" "$BATS_TEST_TMPDIR/out"
    ctrl_c
    run cat "$BATS_TEST_TMPDIR/out"
    refute_output --partial "***" # make: *** [...] Error 130
    assert_line --partial "nc 127.0.0.1 40713"
}
