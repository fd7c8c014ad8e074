load ../expect.bash

setup_file() {
    export TLS_CERT=$BATS_FILE_TMPDIR/cert.pem TLS_KEY=$BATS_FILE_TMPDIR/key.pem
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
        -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout "$TLS_KEY" -out "$TLS_CERT"
}

# Says Hello with openssl s_client, and prints what comes back.
answer_to_hello() { # ARGUMENT...
    local answer=$BATS_TEST_TMPDIR/answer
    : >"$answer" # now, not when the client has started: there may be an answer to another
    openssl s_client -quiet -connect 127.0.0.1:40713 -CAfile "$TLS_CERT" -verify_ip 127.0.0.1 \
        -verify_return_error -verify_quiet "$@" <<<Hello >"$answer" 2>"$answer.err" 3>&- &
    local client=$!
    wait_until grep -q . "$answer" || tail -n 1 "$answer.err"
    kill "$client" 2>/dev/null || true
    wait "$client" || true
    cat "$answer"
}

@test "openssl s_client gets its answer, in TLS 1.3 and in TLS 1.2" {
    hint "bufferevent_openssl_socket_new(), BUFFEREVENT_SSL_ACCEPTING; and errorcb() is called when the handshake is done, too"
    start_server
    local version
    for version in -tls1_3 -tls1_2; do
        expect "sent Hello with openssl s_client $version" "$(answer_to_hello $version)" Uryyb
    done
}

@test "who speaks no TLS gets no answer, and disturbs nobody" {
    hint "what is not TLS comes to errorcb() as BEV_EVENT_ERROR"
    start_server
    play 'A connects' 'A sends Hello, is this TLS?\n' 'A is turned away'
    play -q 2000 'Silent connects' 'Half connects' 'Half sends \x16\x03\x01' 'Silent hears nothing' 3>&- &
    local players=$!
    wait_until has_clients 2
    expect "sent Hello beside two that never finish their handshake" "$(answer_to_hello)" Uryyb
    wait "$players"
}

@test "at the end of the conversation the server says so in TLS" {
    hint "SSL_shutdown(bufferevent_openssl_get_ssl(bev)), before the connection is closed"
    start_server
    # unwrap() says "no more from me" and waits for the other side to say it too.
    python3 3>&- <<'END' || return 1
import os, socket, ssl
tls = ssl.create_default_context(cafile=os.environ["TLS_CERT"])
with socket.create_connection(("127.0.0.1", 40713), timeout=3) as plain:
    try:
        client = tls.wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False)
        client.sendall(b"Hello\n")
        assert client.recv(100) == b"Uryyb\n"
        client.unwrap()
    except (OSError, AssertionError) as error:
        raise SystemExit("said the end in TLS and waited for the same\nreceived: %s\n"
                         "expected: close_notify" % error)
END
}

@test "out of descriptors it rests, and serves on when there is room" {
    hint "do_accept() and resume_accept() can stay as they were"
    start_server 30
    local steps=() used
    for i in {1..40}; do steps+=("C$i connects"); done
    play -q 2000 "${steps[@]}" 'C1 hears nothing' 3>&- &
    local players=$!
    wait_until grep -q accept "$BATS_TEST_TMPDIR/err"
    used=$(cpu_time)
    sleep 1
    used=$(($(cpu_time) - used))
    expect_at_most "lines on stderr" "$(wc -l <"$BATS_TEST_TMPDIR/err")" 10
    expect_at_most "processor used in a second (hundredths)" "$used" 20
    wait "$players"
    expect "sent Hello when the forty had left" "$(answer_to_hello)" Uryyb
}

@test "of long lines with the end right behind them every byte comes back, twenty times" {
    hint "README.md, 'Hints': in \"random streams\" the end is missing"
    # As the rules of the contract are tried: through socat, which speaks TLS.
    SERVER="$(printf %q "$BATS_TEST_DIRNAME/serve") $SERVER"
    start_server
    { printf '%20000s\n%20000s\n%20000s\n' '' '' '' && printf unfinished; } | tr ' ' x >"$BATS_TEST_TMPDIR/lines"
    tr A-Za-z N-ZA-Mn-za-m <"$BATS_TEST_TMPDIR/lines" >"$BATS_TEST_TMPDIR/answer"
    for _ in {1..20}; do
        play 'A connects' "A sends file $BATS_TEST_TMPDIR/lines" 'A half-closes' \
            "A hears file $BATS_TEST_TMPDIR/answer" 'A hears the end'
    done
}
