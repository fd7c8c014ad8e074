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

# While four clients send all they can for two seconds, an ordinary one asks, waits
# for the answer, pauses for 5 ms, and asks again: 400 times if nothing delays it.
flood() { # ARGUMENT...
    local result lines status=0
    result=$(client flood 2 -n 4 "$@") || status=$?
    if [ -n "$result" ]; then echo "# $result" >&3; fi
    # That the flood was one, and everybody in it got right answers.
    [ "$status" -eq 0 ] || return 1
    lines=${result#*over }
    [ "${lines%% *}" -ge 20 ] ||
        expect "lines answered to an ordinary client while four others flood" "${lines%% *}" \
            "at least 20 in two seconds"
}

@test "rule 4: clients that flood, and read, delay nobody" {
    start_server
    flood
}

@test "rule 4: clients that flood, and do not read, delay nobody" {
    start_server
    flood --unread
}
