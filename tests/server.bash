# What the rules' tests share: the server under test, started before each test
# and stopped after it.  Bash, for bats.
#
#   SERVER    the command to test, given to bash: see tests/check
#   OURS      not empty: a stage of this project; its exit status is checked
#             after every test, and its "listening on" line is waited for
#   PATIENCE  seconds to wait for what must come (20)
#   CROWD     clients at once in the test of that name (1000)
#   CHURN     clients one after the other, where there are many (1000)
#   SLOW      how many times slower it may be (1), under valgrind say
#   MANY      more clients at once than a select() can watch (1100)
#   SPINS     not empty: uses a whole core by design (stage 03)

CROWD=${CROWD:-1000}
CHURN=${CHURN:-1000}
SLOW=${SLOW:-1}
PATIENCE=${PATIENCE:-$((20 * SLOW))}
CLIENT=$BATS_TEST_DIRNAME/../rot13-client
# shellcheck source=tests/processes.bash
. "${BASH_SOURCE[0]%/*}/processes.bash"

client() { # SUBCOMMAND ARGUMENT...
    local subcommand=$1
    shift
    "$CLIENT" "$subcommand" -t "$PATIENCE" "$@"
}

play() { # STEP...
    client scene "$@"
}

# Clients with small buffers say 40 to 300 kB, and REST bytes of a line without its
# newline. They shut down, and only then begin to read. Some of them have just filled
# the buffers on the way, so that the server sees the end of input while it cannot send.
slow_readers() { # [REST]
    local line=1234567890123456789012345678901234567890123456789 n name
    local say=() hear=()
    for n in {800..6000..100}; do
        name=Client$n
        say+=("$name connects narrowly" "$name sends $n times $line\n")
        hear+=("$name hears $n times $line\n")
        if [ -n "${1-}" ]; then
            say+=("$name sends $1 times x")
            hear+=("$name hears $1 times k")
        fi
        say+=("$name half-closes")
        hear+=("$name hears the end")
    done
    play "${say[@]}" 'Witness connects' 'Witness hears nothing' "${hear[@]}"
}

# Starts $SERVER, with at most DESCRIPTORS of them if that is given, and waits
# until it listens.  The guard sees to it that nothing survives the test.
start_server() { # [DESCRIPTORS]
    local problem guard=("$CLIENT" guard --first 1000000 -k 5000)
    if ! problem=$("$CLIENT" free 2>&1); then
        echo "$problem"
        # Not this rule's fault, but not to be judged either.
        if [ -n "${CHECK-}" ] && [[ $problem == *SO_REUSEADDR* ]]; then skip "${problem#*: }"; fi
        return 1
    fi
    # Whether it heeds SIGTERM is rule 8's, the others do not wait for it.
    if [ -n "${CHECK-}" ] && [[ $BATS_TEST_FILENAME != *rule-08* ]]; then guard+=(-k 500); fi
    : >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err"
    (
        if [ -n "${1-}" ]; then ulimit -n "$1" || exit 1; fi
        # setsid: "kill 0", in a script that starts a server, is not meant for us.
        exec "${guard[@]}" -- setsid bash -c "$SERVER"
    ) >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" 3>&- 4>&- &
    GUARD=$!
    wait_until listening || {
        if kill -0 "$GUARD" 2>/dev/null; then
            echo "nothing listens on 127.0.0.1:40713 after $PATIENCE s; the command printed:"
        elif grep -qs listening "$BATS_TEST_TMPDIR/out"; then
            echo "the command said that it listens, and ended when the first client came; it printed:"
        else
            echo "the command ended before it listened on 127.0.0.1:40713; it printed:"
        fi
        show_output
        return 1
    }
    if [ -n "${WRAP-}" ]; then PARENT=$(descendants "$GUARD" | sort -n | head -n 1); fi
}

listening() {
    kill -0 "$GUARD" 2>/dev/null || return 3
    if [ -n "${OURS-}" ]; then
        grep -q 'listening on' "$BATS_TEST_TMPDIR/out" || return 1
    else
        "$CLIENT" wait 0.1 2>/dev/null || return 1
    fi
}

show_output() {
    head -c 2000 "$BATS_TEST_TMPDIR/out" | cut -c 1-200
    head -c 2000 "$BATS_TEST_TMPDIR/err" | cut -c 1-200
}

# Stops the server with SIGNAL (TERM) and leaves its exit status in $STATUS, 124 if it
# had to be killed, and how many milliseconds it took in $TOOK.
# shellcheck disable=SC2120 # the rules call it with a signal
stop_server() { # [SIGNAL]
    local start=${EPOCHREALTIME//[!0-9]/}
    STATUS=0
    kill -"${1:-TERM}" "$GUARD" 2>/dev/null || true
    wait "$GUARD" || STATUS=$?
    # shellcheck disable=SC2034 # for the rules
    TOOK=$(((${EPOCHREALTIME//[!0-9]/} - start) / 1000))
    GUARD=
}

setup() {
    GUARD=
    if [ -n "${CHECK-}" ] && [ -e "$BATS_FILE_TMPDIR/broken" ]; then
        skip "the rule is broken already"
    fi
}

# What is in no exit status that anybody sees: valgrind's word on a child of stage 02, and on
# descriptors. Not what has been inherited, nor what a child leaves to the kernel: memory
# that is still reachable, and its client's descriptor.
what_valgrind_said() {
    [ -z "${WRAP-}" ] || [ ! -e "$BATS_TEST_TMPDIR/err" ] || awk -v parent="==$PARENT==" '
        !/^==[0-9]+== [^ ]/ || /still reachable|FILE DESCRIPTORS/ { next }
        $2 == "Open" {
            line = $0
            whose = $1
            getline
            if (whose == parent && !/inherited/) print line
            next
        }
        { print }' "$BATS_TEST_TMPDIR/err"
}

teardown() {
    local ended='' complaints
    if [ -n "$GUARD" ]; then
        if [ -n "${CHECK-}" ] && ! kill -0 "$GUARD" 2>/dev/null; then ended=1; fi
        stop_server
        if [ -n "${OURS-}" ] && [ "$STATUS" != 0 ]; then
            echo "SIGTERM ended the server with status $STATUS instead of 0"
            show_output
            return 1
        fi
    fi
    complaints=$(what_valgrind_said)
    if [ -n "$complaints" ]; then
        echo "$complaints"
        show_output
        return 1
    fi
    if [ -z "${BATS_TEST_COMPLETED-}" ] && [ -z "${BATS_TEST_SKIPPED-}" ]; then
        touch "$BATS_FILE_TMPDIR/broken"
        if [ -n "$ended" ]; then
            echo "the server had ended by then, with status $STATUS$(signal_of "$STATUS")"
        fi
        if [ -s "$BATS_TEST_TMPDIR/err" ]; then
            echo "the server's last words, perhaps about an earlier client:"
            tail -n 5 "$BATS_TEST_TMPDIR/err" | cut -c 1-200
        fi
    fi
}

signal_of() { # STATUS: the shell's; above 128, a signal ended it
    [ "$1" -le 128 ] || echo ": SIG$(kill -l "$1" 2>/dev/null || echo "$(($1 - 128))")"
}

# ---- the server seen from outside: all its processes together ----

descendants() { # PID
    ps -e -o pid=,ppid= | awk -v root="$1" '
        { parent[$1] = $2 }
        END {
            for (pid in parent) {
                for (p = pid; p in parent && p != root; p = parent[p])
                    ;
                if (p == root && pid != root)
                    print pid
            }
        }'
}

processes() { descendants "$GUARD" | wc -l; }

descriptors() { # open ones
    local pid
    for pid in $(descendants "$GUARD"); do
        ls "/proc/$pid/fd" 2>/dev/null || true
    done | wc -l
}

memory() { # KiB that it has written to: unlike Pss, nothing shared with others counts
    local pid
    for pid in $(descendants "$GUARD"); do
        cat "/proc/$pid/smaps_rollup" 2>/dev/null || true
    done | awk '/^Private_Dirty:/ { sum += $2 } END { print sum + 0 }'
}

cpu_time() { # hundredths of a second
    # shellcheck disable=SC2046 # several numbers
    cpu_time_of $(descendants "$GUARD")
}

# Watches the server for a second: in $USED how much of it it had a processor (hundredths),
# in $LOOKS how often it was looked at, and in $AWAKE how often it was found running, or
# waiting for nothing but a processor. On a busy machine one that spins gets little time,
# but it never sleeps.
watch_a_second() {
    local all before end=$((${EPOCHREALTIME//[!0-9]/} + 1000000))
    all=$(descendants "$GUARD")
    before=$(cpu_time)
    LOOKS=0 AWAKE=0
    while [ "${EPOCHREALTIME//[!0-9]/}" -lt "$end" ]; do
        LOOKS=$((LOOKS + 1))
        if [[ $(ps -o state= -p "${all//$'\n'/,}") == *R* ]]; then AWAKE=$((AWAKE + 1)); fi
        sleep 0.05
    done
    # shellcheck disable=SC2034 # for the rules
    USED=$(($(cpu_time) - before))
}

# Another language takes memory, and keeps it, as soon as there is work.
warm_up() {
    if [ -z "${OURS-}" ]; then client flood 1 -n 3 >/dev/null; fi
}

its_memory_is_its_own() {
    [ "$SLOW" = 1 ] || skip "the memory seen from outside is that of the tool it runs under"
}

expect() { # WHAT GOT WANTED
    if [ "$2" != "$3" ]; then
        printf '%s\n  received: %s\n  expected: %s\n' "$1" "$2" "$3"
        return 1
    fi
}

expect_at_most() { # WHAT GOT MOST
    if [ "$2" -gt "$3" ]; then
        printf '%s\n  received: %s\n  expected: at most %s\n' "$1" "$2" "$3"
        return 1
    fi
}

has_clients() { # N: that many are connected to the server
    [ "$(ss -Htn state established sport = :40713 2>/dev/null | wc -l)" -ge "$1" ]
}
