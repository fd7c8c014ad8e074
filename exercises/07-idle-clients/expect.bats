load ../expect.bash

export IDLE_SECONDS=1

@test "who says nothing is told goodbye, and then it is over" {
    hint "event_add() takes a time; where do_accept() adds read_event it is NULL"
    start_server
    play 'A connects' 'A hears goodbye\n' 'A hears the end'
}

@test "who stops in the middle of a line is told goodbye too" {
    hint "what does do_read() do when its events say EV_TIMEOUT, and not EV_READ?"
    start_server
    play 'A connects' 'A sends Hel' 'A hears goodbye\n' 'A hears the end'
}

@test "who speaks in time may stay" {
    hint "each word begins the time anew: EV_PERSIST sees to it, or event_add() with a time"
    start_server
    local speak=('A sends a' 'A hears nothing' 'A hears nothing')
    play 'A connects' "${speak[@]}" "${speak[@]}" "${speak[@]}" "${speak[@]}" \
        'A sends \n' 'A hears nnnn\n'
}

@test "who still has replies to read may stay, and is silent only afterwards" {
    hint "while a reply waits, read_event is not added: who is timing this client?"
    start_server
    # B's chat takes 1.8 seconds.
    local chat=('B sends b\n' 'B hears o\n' 'B hears nothing' 'B hears nothing' 'B hears nothing')
    play 'A connects' 'A sends until stuck' 'B connects' "${chat[@]}" "${chat[@]}" "${chat[@]}" \
        'A hears all of it' 'A sends Hello\n' 'A hears Uryyb\n'
    hint "when do_write() has sent all, does it add read_event again?"
    play 'A connects' 'A sends until stuck' 'A hears all of it' 'A hears goodbye\n' 'A hears the end'
}

@test "who gets the rest of a reply later, and is silent from then on, is told goodbye too" {
    hint "which time does do_write() name when it adds read_event? No byte will come to wind the clock again"
    # The first send() takes only half of what it is given, as it does when a socket is full.
    cat >"$BATS_TEST_TMPDIR/send.h" <<'END'
#define _POSIX_C_SOURCE 200809L
#include <sys/socket.h>
static ssize_t half_at_first(int fd, const void *buf, size_t len, int flags)
{
    static int calls;
    return send(fd, buf, calls++ > 0 ? len : len / 2, flags);
}
#define send half_at_first
END
    build_with -include "$BATS_TEST_TMPDIR/send.h"
    start_server
    play 'A connects' 'A sends Hello\n' 'A hears Uryyb\n' 'A hears goodbye\n' 'A hears the end'
}

closed() {
    [ "$(descriptors)" -le "$BEFORE" ]
}

@test "a goodbye leaves nothing behind" {
    hint "a goodbye without free_fd_state() leaves the descriptor open"
    start_server
    play 'A connects' 'A half-closes' 'A hears the end'
    BEFORE=$(descriptors)
    play 'A connects' 'B connects' 'A hears goodbye\n' 'B hears goodbye\n' 'A hears the end' 'B hears the end'
    wait_until closed
}
