# It says what is wrong
#
# why: Whoever starts it on a port that is taken should not have to guess why
#      nothing answers, nor should the script that did.

load ../server.bash

@test "rule 9: a port that is taken is told in one line, exit status 1" {
    start_server
    local status=0
    timeout -k 1 "$PATIENCE" bash -c "$SERVER" >"$BATS_TEST_TMPDIR/out2" \
        2>"$BATS_TEST_TMPDIR/err2" 3>&- || status=$?
    expect "started twice; exit status of the second (124: it hangs)" "$status" 1
    # What valgrind says of descriptors is not the server's word.
    expect "started twice; lines on stderr" "$(grep -vc '^==[0-9]*==' "$BATS_TEST_TMPDIR/err2")" 1
    expect "started twice; the line names the address and port" \
        "$(grep -o '127\.0\.0\.1:40713' "$BATS_TEST_TMPDIR/err2")" "127.0.0.1:40713"
    play 'A connects' 'A sends Hello\n' 'A hears Uryyb\n'
}
