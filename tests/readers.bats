# The three readers of stages 01, 03 and 04: the same job, told three times.

bats_load_library bats-support
bats_load_library bats-assert
load processes.bash

BLOCKING=$BATS_TEST_DIRNAME/../01-blocking-client/blocking-reader
NONBLOCKING=$BATS_TEST_DIRNAME/../03-nonblocking-poll/nonblocking-reader
SELECT=$BATS_TEST_DIRNAME/../04-select-server/select-reader

# Starts two listeners, first and second, that say what is written to
# descriptors 5 and 6, and a reader of both.
start_reader() { # READER
    local name
    FIRST=$(free_port)
    SECOND=$FIRST
    while [ "$SECOND" = "$FIRST" ]; do SECOND=$(free_port); done
    mkfifo "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/second"
    nc -N -l 127.0.0.1 "$FIRST" <"$BATS_TEST_TMPDIR/first" 3>&- &
    started $!
    exec 5>"$BATS_TEST_TMPDIR/first"
    nc -N -l 127.0.0.1 "$SECOND" <"$BATS_TEST_TMPDIR/second" 3>&- 5>&- &
    started $!
    exec 6>"$BATS_TEST_TMPDIR/second"
    wait_for_listener "$FIRST"
    wait_for_listener "$SECOND"
    "$1" "$FIRST" "$SECOND" >"$BATS_TEST_TMPDIR/out" 3>&- 5>&- 6>&- &
    READER=$!
    started "$READER"
    wait_until connected "$FIRST"
    wait_until connected "$SECOND"
}

connected() { # PORT
    ss -Htn state established dport = ":$1" | grep -q .
}

reader_ends() {
    wait_until reader_is_gone || fail "the reader goes on when all connections have ended"
    wait "$READER"
}

reader_is_gone() {
    case $(ps -o state= -p "$READER") in '' | Z) return 0 ;; esac
    return 1
}

printed() { # TEXT
    [ "$(cat "$BATS_TEST_TMPDIR/out")" = "$1" ]
}

unread() { # PORT: something has arrived that the reader has not taken
    [ "$(ss -Htn state established dport = ":$1" | awk '{ print $1 }')" -gt 0 ]
}

prints_whatever_comes_first() { # READER
    start_reader "$1"
    echo "second speaks" >&6
    wait_until printed "[1] second speaks"
    echo "first speaks" >&5
    wait_until printed "$(printf '[1] second speaks\n[0] first speaks')"
    exec 5>&-
    echo "second again" >&6
    wait_until printed "$(printf '[1] second speaks\n[0] first speaks\n[1] second again')"
    exec 6>&-
    reader_ends
}

@test "01-blocking-client: the reader waits for the first while the second speaks" {
    start_reader "$BLOCKING"
    echo "second speaks" >&6
    wait_until unread "$SECOND"
    printed ""
    echo "first speaks" >&5
    wait_until printed "$(printf '[0] first speaks\n[1] second speaks')"
    exec 5>&- 6>&-
    reader_ends
}

@test "03-nonblocking-poll: the reader prints whatever comes first" {
    prints_whatever_comes_first "$NONBLOCKING"
}

@test "04-select-server: the reader prints whatever comes first" {
    prints_whatever_comes_first "$SELECT"
}

cost_in_a_second() { # READER
    start_reader "$1"
    local before
    before=$(cpu_time_of "$READER")
    sleep 1
    USED=$(($(cpu_time_of "$READER") - before))
    STATE=$(ps -o state= -p "$READER")
    exec 5>&- 6>&-
}

@test "01-blocking-client: the reader costs nothing while it waits" {
    cost_in_a_second "$BLOCKING"
    [ "$USED" -le 3 ] || fail "used $USED hundredths of a second"
}

@test "03-nonblocking-poll: the reader costs a core while it waits" {
    cost_in_a_second "$NONBLOCKING"
    # On a busy machine it may not get a whole core, but it never sleeps.
    assert_equal "$STATE" R
    [ "$USED" -ge 5 ] || fail "used $USED hundredths of a second"
}

@test "04-select-server: the reader costs nothing while it waits" {
    cost_in_a_second "$SELECT"
    [ "$USED" -le 3 ] || fail "used $USED hundredths of a second"
}

@test "readers: a megabyte in lines, unchanged but for the mark" {
    local reader
    seq 150000 >"$BATS_TEST_TMPDIR/numbers"
    for reader in "$BLOCKING" "$NONBLOCKING" "$SELECT"; do
        PORT=$(free_port)
        nc -N -l 127.0.0.1 "$PORT" <"$BATS_TEST_TMPDIR/numbers" 3>&- &
        started $!
        wait_for_listener "$PORT"
        "$reader" "$PORT" >"$BATS_TEST_TMPDIR/out"
        # A mark stands wherever a piece begins, and a piece may end mid-line: what
        # remains without marks and newlines is all digits in their order.
        sed 's/^\[0\] //' "$BATS_TEST_TMPDIR/out" | tr -d '\n' >"$BATS_TEST_TMPDIR/got"
        tr -d '\n' <"$BATS_TEST_TMPDIR/numbers" | cmp - "$BATS_TEST_TMPDIR/got"
    done
}

@test "readers: a port that nobody listens on is told in one line, exit status 1" {
    local reader port
    port=$(free_port)
    for reader in "$BLOCKING" "$NONBLOCKING" "$SELECT"; do
        run timeout 5 "$reader" "$port"
        assert_failure 1
        assert_output "${reader##*/}: connect to 127.0.0.1:$port: Connection refused"
    done
}

@test "readers: bad arguments get one line, exit status 2" {
    local reader arguments
    for reader in "$BLOCKING" "$NONBLOCKING" "$SELECT"; do
        for arguments in "" "x" "0" "65536" "5001 -1" "$(seq -s ' ' 101)"; do
            # shellcheck disable=SC2086 # several arguments
            run timeout 5 "$reader" $arguments
            assert_failure 2
            assert_equal "${#lines[@]}" 1
        done
    done
}
