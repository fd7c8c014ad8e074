# What compare and bench share.  Bash; to be sourced in the folder above.
# shellcheck shell=bash
# shellcheck disable=SC2034 # used by those that source it

port=40713
load=bench/rot13-load
stages=${STAGES-02 03 04 05 06}

fail() { # MESSAGE [STATUS]
    say ''
    echo "${0##*/}: $1" >&2
    exit "${2:-1}"
}

# A line that the next one is written over, for who sits at a terminal.
say() {
    [ ! -t 2 ] || printf '\r\033[K%s' "$1" >&2
}

check_stages() {
    local stage
    [ -z "${STAGE-}" ] || fail "STAGE=$STAGE? here it is STAGES=\"$STAGE\"" 2
    for stage in $stages; do
        [[ $stage =~ ^0[2-6]$ ]] || fail "STAGES: there is no server $stage; there are 02 03 04 05 06" 2
    done
}

build() { # builds the instruments and the stages
    local stage
    make -s -C bench || fail "the instruments in bench/ do not build"
    for stage in $stages; do
        make -s -C "$(echo "$stage"-*)" || fail "stage $stage does not build; STAGES=... leaves it out"
    done
}

# The server on one core and the load on another, where there are two, so that each run is
# like the next: goes before the server's command, and among the load's options.
two_cores() {
    local two
    pin_server='' pin_load=() cores="server and load on whatever core is free"
    # The first processor of each of two cores; the second is often a twin of the first.
    mapfile -t two < <(lscpu -p=CPU,CORE | awk -F, '!/^#/ && !seen[$2]++ && ++n <= 2 { print $1 }')
    if [ ${#two[@]} -eq 2 ] && taskset -c "${two[0]},${two[1]}" true 2>/dev/null; then
        pin_server="taskset -c ${two[0]} " pin_load=(--cpu "${two[1]}")
        cores="server on processor ${two[0]}, load on ${two[1]}"
    fi
}

port_is_taken() {
    (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null
}

need_port() {
    ! port_is_taken ||
        fail "port $port is taken, something listens there already: end it (ss -ltnp shows it)"
}

# run_load FOLDER OPTION...: its report goes to FOLDER/csv, what went wrong to FOLDER/log.
# In the background, so that a signal does not have to wait for its end.
running=
run_load() {
    local folder=$1 status=0
    shift
    $load --csv-header "$@" $port >"$folder/csv" 2>"$folder/log" &
    running=$!
    wait $running || status=$?
    running=
    return $status
}

# Whatever happens, nothing stays behind: the load, when it is told to, stops its server.
remove_at_exit() { # FILE...
    temporary=("$@")
    trap 'stop_load; rm -rf "${temporary[@]}"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

stop_load() {
    [ -n "$running" ] || return 0
    kill "$running" 2>/dev/null
    wait "$running"
}
