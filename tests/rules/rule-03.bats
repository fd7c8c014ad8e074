# Half-close is honoured
#
# why: printf 'Hello\n' | nc -N host port is how scripts talk to servers: say
#      all, say that it is all, read the answer. A server that closes at the end
#      of the input throws the answer away.

load ../server.bash

@test "rule 3: who says a line and shuts down hears the answer, twenty times" {
    start_server
    local received status
    for _ in {1..20}; do
        status=0
        received=$(printf 'Hello\n' | timeout "$PATIENCE" nc -N 127.0.0.1 40713) || status=$?
        expect "sent Hello and end of file, with nc -N" "$received" Uryyb
        expect "got the answer; status of nc (124: the connection was never closed)" "$status" 0
    done
}

@test "rule 3: who says nothing and shuts down hears the end" {
    start_server
    play 'A connects' 'A half-closes' 'A hears the end'
}

@test "rule 3: what is on its way arrives, then the end" {
    start_server
    play 'A connects' 'A sends 10000 times 123456789\n' 'A half-closes' \
        'A hears 10000 times 123456789\n' 'A hears the end'
}

@test "rule 3: replies that had to wait arrive, then the end" {
    start_server
    play 'A connects' 'A sends 3000000 times 123456789\n' 'A half-closes' \
        'A hears 3000000 times 123456789\n' 'A hears the end'
}
