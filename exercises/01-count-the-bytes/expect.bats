load ../expect.bash

LINE='a line of sixty bytes, newline counted, and not one byte more'
ENIL='n yvar bs fvkgl olgrf, arjyvar pbhagrq, naq abg bar olgr zber'

# The server under strace, which writes one line for each call that moves bytes.
start_traced_server() {
    CALLS=$BATS_TEST_TMPDIR/calls
    SERVER="strace -D -f -qq -e signal=none -o $CALLS \
        -e trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg $SERVER"
    start_server
    # What a connection costs that says nothing, and what was done before it.
    play 'A connects' 'A half-closes' 'A hears the end'
    BEFORE=$(wc -l <"$CALLS")
}

calls() {
    echo $(($(wc -l <"$CALLS") - BEFORE))
}

@test "lines that come one by one cost at most 3 system calls each" {
    hint "README.md, 'What to predict': how many recv() does a line of 60 bytes cost?"
    start_traced_server
    local steps=()
    for _ in {1..20}; do
        steps+=("A sends $LINE\\n" "A hears $ENIL\\n")
    done
    play 'A connects' "${steps[@]}"
    expect_at_most "20 lines, each sent when the one before was answered; system calls" "$(calls)" 60
}

@test "100 lines that come at once cost at most 20 system calls, all together" {
    hint "README.md, 'Hints': a recv() may bring many lines, and a send() may take them away"
    start_traced_server
    play 'A connects' "A sends 100 times $LINE\\n" "A hears 100 times $ENIL\\n"
    expect_at_most "100 lines sent at once; system calls" "$(calls)" 20
}

@test "a line of 16384 bytes costs at most 3 system calls as well" {
    hint "ask recv() for as much as there is room for, and send() for all that is there"
    start_traced_server
    head -c 16383 /dev/zero | tr '\0' x >"$BATS_TEST_TMPDIR/line"
    echo >>"$BATS_TEST_TMPDIR/line"
    tr x k <"$BATS_TEST_TMPDIR/line" >"$BATS_TEST_TMPDIR/answer"
    play 'A connects' "A sends file $BATS_TEST_TMPDIR/line" "A hears file $BATS_TEST_TMPDIR/answer"
    expect_at_most "a line of 16384 bytes, newline counted; system calls" "$(calls)" 3
}
