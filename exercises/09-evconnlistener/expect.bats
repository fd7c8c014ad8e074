load ../expect.bash

@test "libevent listens and accepts, the program itself does neither" {
    hint "evconnlistener_new_bind() stands for socket() to listen(), and for the event; its callback is do_accept()"
    local calls
    calls=$(nm -u "$SERVER" | sed 's/@.*//' |
        awk '$2 ~ /^(socket|bind|listen|accept|accept4)$/ { printf "%s() ", $2 }')
    expect "what the program calls itself" "${calls:-none of socket(), bind(), listen() and accept()}" \
        "none of socket(), bind(), listen() and accept()"
}

@test "the backlog is as long as the system allows" {
    hint "evconnlistener_new_bind() is told how long; -1 means 128 to it"
    start_server
    expect "places in the backlog (ss -ltn)" "$(ss -Hltn 'sport = :40713' | awk '{ print $3 }')" \
        "$(cat /proc/sys/net/core/somaxconn)"
}
