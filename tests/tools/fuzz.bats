# tests/fuzz itself: what it says when a server is not right, and of what it cannot do.

bats_load_library bats-support
bats_load_library bats-assert

TOP=$BATS_TEST_DIRNAME/../..
FUZZ=$TOP/tests/fuzz

@test "fuzz: a bounded number of streams, and a seed that is no octal number" {
    run env STAGES="04 06" STREAMS=300 SEED=08 "$FUZZ" 3>&-
    assert_success
    assert_output "fuzz: 300 streams, no difference"
}

@test "fuzz: of a difference it shows all, and how to see it again" {
    # In a folder with a blank in its name, for good measure.
    local copy="$BATS_TEST_TMPDIR/a copy"
    mkdir "$copy"
    (cd "$TOP" && cp -R Makefile rot13.? 0* tests "$copy")
    patch -s -d "$copy" -p1 <"$TOP/tests/mutants/04-seven-bits.rule-1.patch"
    cd "$BATS_TEST_TMPDIR"
    run env STAGES=04 STREAMS=1000 SEED=7 "$copy/tests/fuzz" 3>&-
    assert_failure 1
    assert_line --regexp '^kept: \./rot13-fuzz-7-[0-9]*\.in '
    assert_line "the smallest that is wrong too:"
    assert_line --regexp "^tests/rot13-client scene .* 'A sends "
    assert_line "fuzz: 04-select-server differs, seed 7, after 0 streams"
    cat rot13-fuzz-7-*.min
}

@test "fuzz: bad usage is one line, exit status 2" {
    run env SEED=x "$FUZZ"
    assert_failure 2
    assert_output "fuzz: SEED is a number, as in SEED=4711, not 'x'"
    run env STREAMS=abc "$FUZZ"
    assert_failure 2
    assert_output "fuzz: STREAMS is a number, as in STREAMS=1000000, not 'abc'"
    run env STAGES="04 09" "$FUZZ"
    assert_failure 2
    assert_output "fuzz: no server in stage '09'; there are 02 to 06, as in STAGES=\"04 05\""
    run env STAGES=" " "$FUZZ"
    assert_failure 2
}
