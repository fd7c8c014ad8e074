# Half-close is honoured
#
# why: printf 'Hello\n' | nc -N host port is how scripts talk to servers: say
#      all, say that it is all, read the answer. A server that closes at the end
#      of the input throws the answer away.

load ../server.bash

@test "rule 3: who says a line and shuts down hears the answer, fifty times" {
    start_server
    for _ in {1..50}; do
        expect "sent Hello and end of file, with nc -N" \
            "$(printf 'Hello\n' | timeout "$PATIENCE" nc -N 127.0.0.1 40713)" "Uryyb"
    done
}

@test "rule 3: who says nothing and shuts down hears the end" {
    start_server
    play 'A connects' 'A half-closes' 'A hears the end'
}

@test "rule 3: a megabyte in flight arrives, then the end" {
    start_server
    play 'A connects' 'A sends 100000 times 123456789\n' 'A half-closes' \
        'A hears 100000 times 123456789\n' 'A hears the end'
}

@test "rule 3: replies that had to wait arrive, then the end" {
    start_server
    play 'A connects' 'A sends until stuck' 'A hears all of it' 'A half-closes' \
        'A hears the end'
}
