# What one types at the top: make help, make run, make tour.

bats_load_library bats-support
bats_load_library bats-assert
load processes.bash

TOP=$BATS_TEST_DIRNAME/..

@test "make help names every target there is" {
    local target
    run make -s -C "$TOP" help
    assert_success
    for target in $(sed -n 's/^\.PHONY: //p' "$TOP/Makefile"); do
        case $target in
            all | help | '$(FOLDERS)') ;;
            *) assert_output --partial "make $target" ;;
        esac
    done
}

@test "make run runs the last stage, STAGE= another, with PORT= and ADDRESS=" {
    local port
    port=$(free_port)
    make_run -C "$TOP" PORT="$port"
    wait_until grep -q "bufferevents: listening on 127.0.0.1:$port" "$BATS_TEST_TMPDIR/out"
    assert_equal "$(echo Hello | nc -N 127.0.0.1 "$port")" Uryyb
    ctrl_c
    run cat "$BATS_TEST_TMPDIR/out"
    refute_output --partial "***" # make: *** [...] Error 130
    assert_line --partial "nc 127.0.0.1 $port"

    make_run -C "$TOP" STAGE=04 PORT="$port" ADDRESS=127.0.0.3
    wait_until grep -q "select-server: listening on 127.0.0.3:$port" "$BATS_TEST_TMPDIR/out"
    ctrl_c
}

@test "make run STAGE=09 says which there are" {
    run make -s -C "$TOP" run STAGE=09
    assert_failure
    assert_line "make run: no stage '09'; there are 01 to 06, as in STAGE=04"
}

@test "make tour shows every stage and ends well" {
    PAUSE=100 run make -s -C "$TOP" tour
    assert_success
    for program in fork-server nonblocking-poll select-server libevent-events bufferevents; do
        assert_line --partial "$program: listening on 127.0.0.1:40713"
    done
    assert_equal "$(grep -c 'A hears Uryyb, jbeyq' <<<"$output")" 5
    assert_output --partial "this is the answer"
}
