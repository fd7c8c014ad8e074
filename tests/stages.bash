# What the tests need to know of each server of this project, and of the rules.  Bash.

rules_are_known() { # RULES, as in 2,3; else says in one line which is not
    local rule
    if ! [[ $1 =~ [^,\ ] ]]; then
        echo "no rule in RULES='$1'; there are 1 to 10, as in RULES=2,3"
        return 1
    fi
    for rule in ${1//,/ }; do
        if ! [[ $rule =~ ^([1-9]|10)$ ]]; then
            echo "no rule '$rule'; there are 1 to 10, as in RULES=2,3"
            return 1
        fi
    done
}

tools_are_there() { # PROGRAM TOOL...: else says in one line which is not
    local tool
    for tool in "${@:2}"; do
        if ! command -v "$tool" >/dev/null; then
            echo "$1: no $tool on this machine; ./setup installs what is missing" >&2
            return 1
        fi
    done
    if ! nc -h 2>&1 | grep -q -e '-N.*[Ss]hutdown'; then
        echo "$1: the nc of this machine is not OpenBSD's, it has no -N; ./setup installs that one" >&2
        return 1
    fi
}

set_stage() { # NN: exports PROGRAM, the file; SERVER, the command; and what goes with them
    local top
    top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    case $1 in
        02) STAGE_DIR=02-fork-server ;;
        03) STAGE_DIR=03-nonblocking-poll ;;
        04) STAGE_DIR=04-select-server ;;
        05) STAGE_DIR=05-libevent-events ;;
        06) STAGE_DIR=06-bufferevents ;;
        *) return 1 ;;
    esac
    export OURS=1 PROGRAM=$top/$STAGE_DIR/${STAGE_DIR#??-} SERVER
    # WRAP runs the server under something: valgrind, say. Quoted for a folder with a blank.
    SERVER="${WRAP:+$WRAP }$(printf %q "$PROGRAM")"
    export BATS_TEST_NAME_PREFIX="$STAGE_DIR: " CROWD=${CROWD-} SPINS=
    export IDLE_COST="no processor time"
    if [ "$1" = 03 ]; then SPINS=1 IDLE_COST="a whole core"; fi
    case $1 in
        0[56]) CROWD=${CROWD:-10000} ;;
        *) CROWD=${CROWD:-1000} ;;
    esac
    # Under valgrind or its like, a process for each client would not fit into the memory
    # of every machine, nor asking each in turn into anybody's patience.
    export MANY='' CHURN=${CHURN-}
    if [ -n "${SLOW-}" ]; then CHURN=${CHURN:-100}; fi
    if [[ $1 == 0[23] && -n ${SLOW-} ]]; then CROWD=100 MANY=100; fi
}
