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

# Builds the program so that it looks, when main() has returned or called exit(), whether
# threads still run; then it says so and ends with status 99.
build_counting_threads() {
    cat >"$BATS_TEST_TMPDIR/count.c" <<'C'
#define _DEFAULT_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

static int
threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    int n = -2; /* . and .. */
    while (dir && readdir(dir))
        ++n;
    if (dir)
        closedir(dir);
    return n;
}

__attribute__((destructor)) static void
look(void)
{
    /* One that has done its work may be on its way out. */
    for (int i = 0; i < 20 && threads() > 1; ++i)
        usleep(10000);
    if (threads() > 1) {
        fprintf(stderr, "main() is over, and %d threads still run\n", threads() - 1);
        _exit(99);
    }
}
C
    SERVER=$BATS_TEST_TMPDIR/server
    "$BATS_TEST_DIRNAME/../build" "$SOURCE" "$SERVER" "$BATS_TEST_TMPDIR/count.c" 2>/dev/null
}

# SIGTERM comes while two clients are connected, one of them in the middle of a line.
# Leaves $STATUS and $TOOK, as stop_server does.
sigterm_with_two_clients() {
    PATIENCE=15 play 'A connects' 'A sends mid' 'B connects' 'B sends Hello\n' 'B hears Uryyb\n' \
        'B is turned away' 'A is turned away' 3>&- &
    local players=$!
    wait_until has_clients 2
    sleep 0.2 # both are served by now
    stop_server
    wait "$players" || true
}

# The server's own process, the first one: below the guard and nothing else.
server_pid() {
    descendants "$GUARD" | sort -n | head -n 1
}
