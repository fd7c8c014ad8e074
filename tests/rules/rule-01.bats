# It is ROT13, byte for byte
#
# why: A server that loses, adds or changes one byte in a million ruins the file
#      that is sent through it, and nobody knows when.

load ../server.bash

# Sends a file; what comes back must be what tr makes of it.  The file ends with
# a newline, so that what happens to an unfinished line (rule 2) and at the end of
# input (rule 3) is not tested here.
through_the_server() { # FILE
    tr A-Za-z N-ZA-Mn-za-m <"$1" >"$BATS_TEST_TMPDIR/expected"
    play 'A connects' "A sends file $1" "A hears file $BATS_TEST_TMPDIR/expected"
}

@test "rule 1: every byte value passes, letters rotate" {
    start_server
    LC_ALL=C awk 'BEGIN { for (i = 0; i < 256; ++i) printf "%c%c", i, 255 - i; print "" }' \
        >"$BATS_TEST_TMPDIR/bytes"
    through_the_server "$BATS_TEST_TMPDIR/bytes"
}

@test "rule 1: five megabytes of anything come back whole" {
    start_server
    { head -c 5000000 /dev/urandom && echo; } >"$BATS_TEST_TMPDIR/random"
    through_the_server "$BATS_TEST_TMPDIR/random"
}

@test "rule 1: nothing but newlines, and hardly any" {
    start_server
    head -c 300000 /dev/zero | tr '\0' '\n' >"$BATS_TEST_TMPDIR/newlines"
    through_the_server "$BATS_TEST_TMPDIR/newlines"
    { head -c 300000 /dev/zero | tr '\0' 'x' && echo; } >"$BATS_TEST_TMPDIR/one-newline"
    through_the_server "$BATS_TEST_TMPDIR/one-newline"
}

@test "rule 1: lines about as long as the buffer" {
    start_server
    for length in 16382 16383 16384 16385 16386 32767 32768 32769 50000; do
        head -c "$length" /dev/zero | tr '\0' 'L'
        echo
        echo "and a short one"
    done >"$BATS_TEST_TMPDIR/lines"
    through_the_server "$BATS_TEST_TMPDIR/lines"
}

@test "rule 1: random streams, cut at random" {
    start_server
    client fuzz --any-time --streams "${STREAMS:-500}" ${SEED:+--seed "$SEED"} --keep "${KEEP:-$BATS_TEST_TMPDIR}"
}
