# The oracle that the random streams are compared with is itself compared with tr.

CLIENT=$BATS_TEST_DIRNAME/rot13-client

same_as_tr() { # FILE
    LC_ALL=C tr A-Za-z N-ZA-Mn-za-m <"$1" >"$BATS_TEST_TMPDIR/tr"
    "$CLIENT" oracle <"$1" | cmp - "$BATS_TEST_TMPDIR/tr"
}

@test "oracle: what fuzz expects is what tr makes of all 256 bytes" {
    LC_ALL=C awk 'BEGIN { for (i = 0; i < 256; ++i) printf "%c", i }' >"$BATS_TEST_TMPDIR/bytes"
    [ "$(wc -c <"$BATS_TEST_TMPDIR/bytes")" -eq 256 ]
    same_as_tr "$BATS_TEST_TMPDIR/bytes"
}

@test "oracle: what fuzz expects is what tr makes of a megabyte of anything" {
    head -c 1000000 /dev/urandom >"$BATS_TEST_TMPDIR/random"
    same_as_tr "$BATS_TEST_TMPDIR/random"
}
