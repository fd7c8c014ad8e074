# Nobody waits for somebody else
#
# why: A server that one client can hold up is down whenever that client wants
#      it to be.

load ../server.bash

@test "rule 4: an idle client, and one that stopped mid-line, delay nobody" {
    start_server
    play 'Idle connects' 'Half connects' 'Half sends I am about to' \
        'B connects' 'B sends Hello\n' 'B hears Uryyb\n' \
        'C connects' 'C sends Hello\n' 'C hears Uryyb\n' \
        'Half sends  say\n' 'Half hears V nz nobhg gb fnl\n'
}

@test "rule 4: a client that sends without end, and never reads, delays nobody" {
    start_server
    timeout $((4 * SLOW)) bash -c 'exec cat /dev/zero >/dev/tcp/127.0.0.1/40713' 3>&- &
    local endless=$!
    wait_until has_clients 1
    client scene -t $((2 * SLOW)) 'B connects' 'B sends Hello\n' 'B hears Uryyb\n'
    kill "$endless"
}

# An ordinary client has to get every answer within a second while
# others send all they can for two.
flood() { # ARGUMENT...
    "$CLIENT" flood -t "$SLOW" $((2 * SLOW)) -n 4 "$@"
}

@test "rule 4: clients that flood, and read, delay nobody" {
    start_server
    echo "# $(flood)" >&3
}

@test "rule 4: clients that flood, and do not read, delay nobody" {
    start_server
    echo "# $(flood --unread)" >&3
}
