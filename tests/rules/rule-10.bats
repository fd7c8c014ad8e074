# Safe by default
#
# why: A program tried out on a laptop in a lecture hall should not be open to
#      the lecture hall.

load ../server.bash

@test "rule 10: it listens on 127.0.0.1 and nowhere else" {
    start_server
    play 'A connects' 'A sends Hello\n' 'A hears Uryyb\n'
    for address in 127.0.0.2 ::1 $(hostname -I 2>/dev/null); do
        if nc -z -w 1 "$address" 40713 2>/dev/null; then
            echo "connected to $address port 40713"
            echo "  received: a connection"
            echo "  expected: refused"
            return 1
        fi
    done
}
