# A client can only hurt itself
#
# why: Clients vanish all day: a laptop is closed, a train enters a tunnel. If
#      one of them can end the server, it will.

load ../server.bash

still_serves() {
    play 'Witness connects' 'Witness sends Hello\n' 'Witness hears Uryyb\n'
}

@test "rule 6: a reset, before and in and after a line" {
    start_server
    play 'Witness connects' 'A connects' 'A resets' \
        'B connects' 'B sends Hel' 'B resets' 'D connects' 'D sends Hel' 'D closes' \
        'C connects' 'C sends Hello\n' 'C hears Uryyb\n' 'C resets' \
        'Witness sends Hello\n' 'Witness hears Uryyb\n'
    still_serves
}

@test "rule 6: gone with replies unread" {
    start_server
    for _ in {1..20}; do
        play 'A connects' 'A sends 2000 times Hello\n' 'A closes'
        play 'A connects' 'A sends 2000 times Hello\n' 'A resets'
    done
    play 'A connects' 'A sends 200000 times Hello\n' 'A resets' \
        'B connects' 'B sends 200000 times Hello\n' 'B closes'
    still_serves
}

@test "rule 6: gone before the first reply" {
    start_server
    # The server sleeps meanwhile, so that it surely answers somebody who has left.
    local all
    mapfile -t all < <(descendants "$GUARD")
    kill -STOP "${all[@]}"
    play 'A connects' 'A sends 5000 times Hello\n' 'A closes'
    kill -CONT "${all[@]}"
    still_serves
}

@test "rule 6: connecting and saying nothing" {
    start_server
    play 'A connects' 'A closes' 'B connects' 'B half-closes' 'C connects' \
        'Witness connects' 'Witness sends Hello\n' 'Witness hears Uryyb\n'
    still_serves
}

@test "rule 6: urgent data" {
    start_server
    play 'Witness connects' 'A connects' 'A sends abc' 'A sends urgently !' 'A sends def\n' \
        'Witness sends Hello\n' 'Witness hears Uryyb\n' 'A closes' \
        'Witness sends Hello\n' 'Witness hears Uryyb\n'
    still_serves
}

@test "rule 6: clients that come and go, not always politely" {
    start_server
    client churn $((CHURN / 10 * 3))
    still_serves
}
