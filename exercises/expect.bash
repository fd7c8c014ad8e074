# What the exercises' own expectations share: all of tests/server.bash, and a hint
# that is printed when an expectation is not met.  Bash, for bats.
#
#   SERVER    the program to mark
#   SOURCE    its source, to build it another way: see build_with

load ../../tests/server.bash
# shellcheck disable=SC2034 # server.bash uses it
CLIENT=$BATS_TEST_DIRNAME/../../tests/rot13-client

# The first line of every test: where to look if it fails.
hint() { # TEXT
    HINT=$1
}

eval "server_$(declare -f teardown)"

teardown() {
    local status=0
    server_teardown || status=$?
    if [ -z "${BATS_TEST_COMPLETED-}" ] || [ "$status" != 0 ]; then
        echo "hint: ${HINT:-README.md}"
    fi
    return "$status"
}

# Builds the program with other flags and puts it in the place of $SERVER; skips
# the test where the compiler cannot do that.
build_with() { # FLAG...
    echo 'int main(void) { return 0; }' >"$BATS_TEST_TMPDIR/empty.c"
    if ! "${CC:-cc}" "$@" -o "$BATS_TEST_TMPDIR/empty" "$BATS_TEST_TMPDIR/empty.c" 2>/dev/null ||
        ! "$BATS_TEST_TMPDIR/empty" 2>/dev/null; then
        skip "no $* on this machine"
    fi
    SERVER=$BATS_TEST_TMPDIR/server
    "$BATS_TEST_DIRNAME/../build" "$SOURCE" "$SERVER" "$@" 2>/dev/null
}

# The server's own process, the first one: below the guard and nothing else.
server_pid() {
    descendants "$GUARD" | sort -n | head -n 1
}
