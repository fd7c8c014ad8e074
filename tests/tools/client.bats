# The tests' client itself, where what it does is not plain from what the rules say.

bats_load_library bats-support
bats_load_library bats-assert
load ../processes.bash

CLIENT=$BATS_TEST_DIRNAME/../rot13-client

# A server for ten clients. The first line of the last one is answered with REPLY, after
# all the others have been answered twice.
last_one_has_to_wait() { # REPLY
    find_python
    cat >"$BATS_TEST_TMPDIR/server.py" <<'END'
import codecs, selectors, socket, sys

listener = socket.create_server(('127.0.0.1', 40713))
clients = selectors.DefaultSelector()
while len(clients.get_map()) < 10:
    clients.register(listener.accept()[0], selectors.EVENT_READ)
last, answered = None, 0
while True:
    for key, _ in clients.select():
        line = key.fileobj.recv(100).decode()
        if not line:
            sys.exit()
        if line == 'Client 9 in round 0\n':
            last = key.fileobj
            continue
        key.fileobj.sendall(codecs.encode(line, 'rot13').encode())
        answered += 1
        if answered == 18:
            last.sendall(sys.argv[1].encode() + b'\n')
END
    "$PYTHON" -IS "$BATS_TEST_TMPDIR/server.py" "$1" 3>&- &
    started $!
    wait_for_listener 40713
}

@test "crowd: who is answered when the others are two lines further is not at fault" {
    last_one_has_to_wait 'Pyvrag 9 va ebhaq 0'
    run "$CLIENT" crowd 10 --at-least 9 --hold </dev/null
    assert_success
    assert_output --partial "10 of 10 connected, 9 answered 3 times each"
}

@test "crowd: a wrong answer is one, however late" {
    last_one_has_to_wait 'Pyvrag 9 va ebhaq 1'
    run "$CLIENT" crowd 10 --at-least 9 --hold </dev/null
    assert_failure 1
    assert_output --partial 'received: Pyvrag 9 va ebhaq 1\n'
    assert_output --partial 'expected: Pyvrag 9 va ebhaq 0\n'
}

@test "guard: a process whose name is odd is ended, too" {
    cp "$(command -v sleep)" "$BATS_TEST_TMPDIR/odd) (one"
    "$CLIENT" guard -k 500 -- bash -c '"$0" 61 & exec sleep 62' "$BATS_TEST_TMPDIR/odd) (one" 3>&- &
    started $!
    wait_until pgrep -f "$BATS_TEST_TMPDIR/odd" >/dev/null
    kill $!
    wait $! || true
    run pgrep -f "$BATS_TEST_TMPDIR/odd"
    assert_output ""
}
