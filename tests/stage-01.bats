# Stage 01: the blocking client and the blocking reader, against real servers.

bats_load_library bats-support
bats_load_library bats-assert
load processes.bash

STAGE_DIR=$BATS_TEST_DIRNAME/../01-blocking-client
CLIENT=$STAGE_DIR/blocking-client
BUSYBOX=busybox
busybox httpd --help >/dev/null 2>&1 || BUSYBOX="busybox-extras" # as on Alpine

start_httpd() { # a web server on $PORT, its pages in $BATS_TEST_TMPDIR/www
    mkdir -p "$BATS_TEST_TMPDIR/www"
    PORT=$(free_port)
    $BUSYBOX httpd -f -p "127.0.0.1:$PORT" -h "$BATS_TEST_TMPDIR/www" 3>&- &
    started $!
    wait_for_port "$PORT"
}

@test "01-blocking-client: a page of five megabytes arrives byte for byte" {
    start_httpd
    head -c 5000000 /dev/urandom >"$BATS_TEST_TMPDIR/www/page"
    "$CLIENT" 127.0.0.1 "$PORT" /page >"$BATS_TEST_TMPDIR/answer"
    # The answer is the head, an empty line, the page.
    tail -c 5000000 "$BATS_TEST_TMPDIR/answer" | cmp - "$BATS_TEST_TMPDIR/www/page"
    head -c $(($(wc -c <"$BATS_TEST_TMPDIR/answer") - 5000000)) "$BATS_TEST_TMPDIR/answer" \
        >"$BATS_TEST_TMPDIR/head"
    run head -n 1 "$BATS_TEST_TMPDIR/head"
    assert_output --partial "200 OK"
    run tail -c 4 "$BATS_TEST_TMPDIR/head"
    assert_equal "$(tail -c 4 "$BATS_TEST_TMPDIR/head" | od -An -tx1)" " 0d 0a 0d 0a"
}

@test "01-blocking-client: the request is HTTP/1.0, with the host, nothing more" {
    PORT=$(free_port)
    nc -d -l 127.0.0.1 "$PORT" >"$BATS_TEST_TMPDIR/request" 3>&- &
    started $!
    wait_for_listener "$PORT"
    "$CLIENT" 127.0.0.1 "$PORT" /a/page >/dev/null 3>&- &
    started $!
    printf 'GET /a/page HTTP/1.0\r\nHost: 127.0.0.1:%s\r\n\r\n' "$PORT" >"$BATS_TEST_TMPDIR/expected"
    wait_until cmp -s "$BATS_TEST_TMPDIR/expected" "$BATS_TEST_TMPDIR/request"
}

@test "01-blocking-client: a name with several addresses, the first of which refuses" {
    # The web server is on the second, IPv4, only.
    [ -e /proc/net/if_inet6 ] || skip "no IPv6 on this machine"
    start_httpd
    echo here >"$BATS_TEST_TMPDIR/www/page"
    printf '::1 two-addresses\n127.0.0.1 two-addresses\n' >"$BATS_TEST_TMPDIR/hosts"
    with_hosts() {
        unshare --mount --map-root-user sh -c \
            "mount --bind '$BATS_TEST_TMPDIR/hosts' /etc/hosts && exec \"\$@\"" sh "$@"
    }
    with_hosts true || skip "no mount namespace to be had for a hosts file of its own"
    run with_hosts "$CLIENT" two-addresses "$PORT" /page
    assert_success
    assert_line here
}

@test "01-blocking-client: over IPv6" {
    [ -e /proc/net/if_inet6 ] || skip "no IPv6 on this machine"
    PORT=$(free_port)
    mkdir "$BATS_TEST_TMPDIR/www"
    echo six >"$BATS_TEST_TMPDIR/www/page"
    $BUSYBOX httpd -f -p "[::1]:$PORT" -h "$BATS_TEST_TMPDIR/www" 3>&- &
    started $!
    wait_for_listener "$PORT"
    run "$CLIENT" ::1 "$PORT" /page
    assert_success
    assert_line six
}

@test "01-blocking-client: an address that refuses is told in one line, exit status 1" {
    PORT=$(free_port)
    run "$CLIENT" 127.0.0.1 "$PORT"
    assert_failure 1
    assert_output "blocking-client: connect to 127.0.0.1 port $PORT: Connection refused"
}

@test "01-blocking-client: a name that does not resolve is told in one line, exit status 1" {
    run "$CLIENT" no-such-host.invalid
    assert_failure 1
    assert_equal "${#lines[@]}" 1
    assert_output --regexp '^blocking-client: look up no-such-host.invalid port 80: .+'
}

@test "01-blocking-client: bad arguments get a usage line, exit status 2" {
    for arguments in 'a 65616' 'a 0' 'a http' "a ''" 'a 80 no-slash' 'a 80 /with\ space' 'a 80 / more'; do
        eval "run \"$CLIENT\" $arguments"
        assert_failure 2
        assert_equal "${#lines[@]}" 1
        assert_output --partial "usage: blocking-client [HOST [PORT [PATH]]]"
    done
    run "$CLIENT" 127.0.0.1 80 "/$(head -c 5000 /dev/zero | tr '\0' x)"
    assert_failure 2
    assert_equal "${#lines[@]}" 1
}

@test "01-blocking-client: a full disk is told, exit status 1" {
    [ -e /dev/full ] || skip "no /dev/full on this machine"
    start_httpd
    echo x >"$BATS_TEST_TMPDIR/www/page"
    run bash -c "'$CLIENT' 127.0.0.1 $PORT /page >/dev/full"
    assert_failure 1
    assert_output "blocking-client: stdout: No space left on device"
}

@test "01-blocking-client: make run fetches a page with no network at all" {
    run make --no-print-directory -C "$STAGE_DIR" run
    assert_success
    assert_output --partial "200 OK"
    assert_output --partial "this is the answer"
}

@test "01-blocking-client: make run quotes what it is given" {
    start_httpd
    echo first >"$BATS_TEST_TMPDIR/www/a&more"
    run make --no-print-directory -C "$STAGE_DIR" run HOST=127.0.0.1 PORT="$PORT" PAGE="/a&more"
    assert_success
    assert_line first
}

@test "01-blocking-client: stopped by Ctrl-C, make run ends without an error line" {
    PORT=$(free_port)
    nc -d -k -l 127.0.0.1 "$PORT" >"$BATS_TEST_TMPDIR/request" 3>&- & # and never answers
    started $!
    wait_for_listener "$PORT"
    make_run -C "$STAGE_DIR" HOST=127.0.0.1 PORT="$PORT"
    wait_until grep -q Host "$BATS_TEST_TMPDIR/request"
    ctrl_c
    run cat "$BATS_TEST_TMPDIR/out"
    refute_output --partial "***"
}
