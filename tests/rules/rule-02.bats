# A line at a time
#
# why: The client waits for the answer before it says the next thing. An answer
#      that waits for more input keeps both waiting for ever; half an answer
#      makes it act on half a line.

load ../server.bash

@test "rule 2: no byte of a line before its newline, all of it then" {
    start_server
    play 'A connects' 'A sends Hel' 'A hears nothing' 'A sends lo' 'A hears nothing' \
        'A sends \n' 'A hears Uryyb\n'
}

@test "rule 2: of two lines and a half, two are answered" {
    start_server
    play 'A connects' 'A sends one\ntwo\nthr' 'A hears bar\ngjb\n' 'A hears nothing' \
        'A sends ee\nfour\n' 'A hears guerr\nsbhe\n'
}

@test "rule 2: a line of 16384 bytes is still one line" {
    start_server
    play 'A connects' 'A sends 16383 times a' 'A hears nothing' \
        'A sends \n' 'A hears 16383 times n' 'A hears \n'
}

@test "rule 2: a longer one is passed on in pieces" {
    start_server
    play 'A connects' 'A sends 50000 times a' 'A hears 16384 times n' 'A sends z\n' \
        'A hears 33616 times n' 'A hears m\n' 'A sends a\n' 'A hears n\n'
}

@test "rule 2: at end of input the unfinished line is answered" {
    start_server
    play 'A connects' 'A sends one\ntw' 'A half-closes' 'A hears bar\ngj' 'A hears the end'
}

@test "rule 2: at end of input the unfinished line is answered to slow readers too" {
    start_server
    slow_readers 16000
}

@test "rule 2: lines that end within a full buffer" {
    start_server
    # 16384 bytes, the end of a line among them; then a line and a half, which begin
    # before that limit and end after it.
    { echo && printf '%6383s' ''; } >"$BATS_TEST_TMPDIR/fills"
    { echo && printf '%3000s\n' '' && printf half; } >"$BATS_TEST_TMPDIR/goes-beyond"
    play 'A connects' 'A sends 10000 times a' 'A hears nothing' \
        "A sends file $BATS_TEST_TMPDIR/fills" 'A hears 10000 times n' 'A hears \n' \
        'A hears nothing' 'A sends \n' 'A hears 6383 times  ' 'A hears \n' \
        'A sends 16000 times a' 'A hears nothing' \
        "A sends file $BATS_TEST_TMPDIR/goes-beyond" 'A hears 16000 times n' 'A hears \n' \
        'A hears 3000 times  ' 'A hears \n' 'A hears nothing' 'A sends \n' 'A hears unys\n'
}

@test "rule 2: random streams, cut at random" {
    start_server
    client fuzz --streams "${STREAMS:-500}" ${SEED:+--seed "$SEED"} --keep "${KEEP:-$BATS_TEST_TMPDIR}"
}
