#!/usr/bin/env bats
# The pictures of docs/timeline: what draw.awk makes of kept traces (compared as structure,
# not as pixels), and what the command says when it cannot draw.

setup() {
    export BATS_LIB_PATH=${BATS_LIB_PATH:-/usr/lib/bats:/usr/lib}
    bats_load_library bats-support
    bats_load_library bats-assert
    top=$BATS_TEST_DIRNAME/../..
    traces=$BATS_TEST_DIRNAME/../traces
}

# draw TRACE [ASSIGNMENT...]: a picture of a kept trace
draw() {
    local name=$1
    shift
    run "${AWK[@]:-awk}" -f "$top/timeline/draw.awk" -v name="$name" "$@" \
        who=peers "$traces/$name.peers" who=program "${program:-$traces/$name.program}"
}

# How many elements of this class, as in <rect class="data"
count() {
    grep -o "<$1 class=\"$2\"" <<<"$output" | wc -l
}

# The bars of process number $1 of the picture are those at the height of its name.
row() {
    local y
    y=$(grep -o "<text x=\"12\" y=\"[0-9]*\">$1<" <<<"$output" | sed 's/.* y="\([0-9]*\)".*/\1/')
    [ -n "$y" ] && grep "<rect [^>]*y=\"$((y - 4 - $2))\"" <<<"$output"
}

@test "timeline: a kept trace gives the picture that belongs to it" {
    draw fork-server -v cpu=1.1
    assert_success
    assert_line --partial '58 calls, 1.1 ms of CPU time'
    for name in 'client A' 'client B' 'client C' fork-server 'child 1' 'child 2' 'child 3'; do
        assert_line --partial ">$name</text>"
    done
    assert_equal "$(count circle r)" 4 # three connect, and the legend
    assert_equal "$(count path birth)" 3
    assert_equal "$(count rect conn)" 6 # four waits and a last one for a connection; the legend
    assert_equal "$(count path k)" 14   # 3 connects, 4 sends, 3 answers, 3 ends; the legend
    assert_equal "$(count path vain)" 1 # only in the legend
    assert_line --partial '<tspan class="b">A</tspan> recv(4)=3</text>'
    assert_line --partial '<tspan class="b">B</tspan> send(4)=9</text>'
    assert_line --partial '<tspan class="b">C</tspan> recv(4)=0</text>'
    assert_line --partial '>"one\ntwo\n"</text>'
    assert_line --partial '>says nothing</text>'
}

@test "timeline: the picture is well-formed, says in words what it shows, and is small" {
    for name in fork-server nonblocking-poll killed-child; do
        for lang in en zh-CN; do
            draw $name -v lang=$lang
            assert_success
            assert_line --partial '<title id='
            assert_line --partial '<desc id='
            assert_line --partial 'prefers-color-scheme:dark'
            [ ${#output} -lt 204800 ]
            # every element that is opened is closed, in the right order
            run awk 'BEGIN { RS = "<" } NR > 1 && !/^[?!]/ {
                tag = $0; sub(/>.*/, "", tag)
                name = tag; sub(/^\//, "", name); sub(/[ \n\/].*/, "", name)
                if (tag ~ /^\//) { if (stack[depth--] != name) bad = 1 }
                else if (tag !~ /\/$/) stack[++depth] = name
            } END { print bad + 0, depth + 0 }' <<<"$output"
            assert_output '0 0'
        done
    done
}

@test "timeline: mawk, gawk and busybox awk draw the same" {
    draw fork-server
    local first=$output
    for awk in mawk gawk 'busybox awk'; do
        command -v "${awk%% *}" >/dev/null || continue
        read -ra AWK <<<"$awk"
        draw fork-server
        assert_equal "$output" "$first"
    done
}

@test "timeline: a call that strace prints in two halves is one bar" {
    # child 1 waits in a recv() of which the halves stand 40 lines apart
    draw fork-server
    run row 'child 1' 8
    assert_line --regexp '<rect class="wait" .*<title>recv\(4\) = 3 "lo.n", 4\.024 ms</title>'
    assert_equal "$(grep -c 'class="wait"' <<<"$output")" 2
}

@test "timeline: asking in vain is counted, folded and drawn in its own colour" {
    draw nonblocking-poll
    assert_success
    local vain
    vain=$(grep -c 'EAGAIN' "$traces/nonblocking-poll.program")
    run sed -n 's/.*class="fv">\([0-9]*\) in vain.*/\1/p' <<<"$output"
    [ "$output" -gt 200 ]
    [ "$output" -le "$vain" ]
    draw nonblocking-poll
    [ "$(count path vain)" -lt 30 ] # runs, not calls
    [ "$(count path vain)" -gt 5 ]
    assert_line --regexp '[0-9]+ × nothing</text>'
}

@test "timeline: bytes that nobody reads for long are told" {
    draw blocking-reader -v kind=reader
    assert_success
    assert_equal "$(count path late)" 2
    assert_line --regexp '>2\.[0-9] ms unread<'
    assert_line --partial '<tspan class="b">C</tspan> recv(5)</text>'
    assert_line --partial '>speaker A</text>'
}

@test "timeline: a process that was killed ends there, in a call that never returned" {
    draw killed-child
    assert_success
    assert_line --partial '>killed</text>'
    assert_equal "$(grep -c '>killed</text>' <<<"$output")" 1
    run row 'child 1' 8
    assert_line --regexp 'class="wait".*recv\(4\) never returned'
    draw killed-child -v format=text
    assert_line --regexp 'child 1 +recv\(4\) never returned'
}

@test "timeline: a call that it does not know is drawn as another call" {
    program=$BATS_TEST_TMPDIR/unknown
    sed 's/setpgid(/syscall_0x1d7(/' "$traces/fork-server.program" >"$program"
    draw fork-server
    assert_success
    refute_output --partial 'left out'
    assert_equal "$(grep -c '<rect class="other".*<title>syscall_0x1d7(' <<<"$output")" 3
    assert_line --partial '58 calls'
}

@test "timeline: lines that are not strace's are left out, and told once" {
    local strange=$BATS_TEST_TMPDIR/strange
    sed -e '5i\
strace: something went wrong' -e '9i\
and again' "$traces/fork-server.program" >"$strange"
    awk -f "$top/timeline/draw.awk" -v name=x who=peers "$traces/fork-server.peers" \
        who=program "$strange" >"$BATS_TEST_TMPDIR/svg" 2>"$BATS_TEST_TMPDIR/err"
    run cat "$BATS_TEST_TMPDIR/err"
    assert_output "timeline: $strange:5: not a line of strace -f -ttt -T, left out"
    run cat "$BATS_TEST_TMPDIR/svg"
    assert_line --partial '58 calls'
}

@test "timeline: an empty trace is no picture, and it says so" {
    program=/dev/null
    draw fork-server
    assert_failure 1
    assert_output 'timeline: fork-server: no system call in its trace; did it start?'
}

@test "timeline: a trace in which nobody connects is no picture either" {
    traces=$BATS_TEST_TMPDIR
    grep -v 'connect(' "$BATS_TEST_DIRNAME/../traces/fork-server.peers" >"$traces/alone.peers"
    cp "$BATS_TEST_DIRNAME/../traces/fork-server.program" "$traces/alone.program"
    draw alone
    assert_failure 1
    assert_output 'timeline: alone: nobody connected in this trace'
}

@test "timeline: as text, a line for each call, the clients between them, repeats folded" {
    draw nonblocking-poll -v format=text
    assert_success
    assert_line --regexp '^ +0\.00  A connects$'
    assert_line --regexp '^ +[0-9.]+  B sends "one\\ntwo\\n"$'
    assert_line --regexp '^ +[0-9.]+ +nonblocking-poll  recv\(4\) = 3  A "Hel" +0\.[0-9]+ ms$'
    assert_line --regexp '[0-9]{2} × nothing yet'
    [ ${#lines[@]} -lt 90 ]
    local order
    order=$(sed -n 's/^ *\([0-9.-]*\) .*/\1/p' <<<"$output" | sed 1d)
    assert_equal "$order" "$(sort -n <<<"$order")"
}

@test "timeline: as text it fits 80 columns" {
    for name in fork-server nonblocking-poll blocking-reader killed-child; do
        draw "$name" -v format=text
        assert_success
        run awk '{ gsub(/×/, "x") } length > 80' <<<"$output"
        assert_output ""
    done
}

@test "timeline: the sheet puts pictures under each other, with one legend" {
    for name in fork-server nonblocking-poll; do
        draw $name
        echo "$output" >"$BATS_TEST_TMPDIR/$name.svg"
    done
    run awk -f "$top/timeline/sheet.awk" "$BATS_TEST_TMPDIR"/*.svg
    assert_success
    assert_equal "$(grep -o '<g class="legend">' <<<"$output" | wc -l)" 1
    assert_equal "$(grep -o '<style>' <<<"$output" | wc -l)" 1
    assert_equal "$(grep -o '<svg ' <<<"$output" | wc -l)" 4 # sheet, legend, two pictures
    assert_line --partial '>child 3</text>'
    assert_line --partial '>nonblocking-poll</text>'
}

@test "timeline: says in one line what it does not understand" {
    run "$top/timeline/timeline" STAGE=07
    assert_failure 2
    assert_output "timeline: no stage '07'; there are 01 to 06, as in STAGE=04"
    run "$top/timeline/timeline" PORT=x
    assert_failure 2
    assert_output "timeline: a port is a number from 1024 to 65532, not 'x'"
}

@test "timeline: without strace, one line" {
    mkdir "$BATS_TEST_TMPDIR/bin"
    for command in bash dirname env make; do
        ln -s "$(command -v $command)" "$BATS_TEST_TMPDIR/bin/"
    done
    PATH=$BATS_TEST_TMPDIR/bin run "$top/timeline/timeline" STAGE=04
    assert_failure 1
    assert_output 'timeline: no strace on this machine; ./setup all installs it'
}

@test "timeline: plays the scene, draws it, and leaves nothing behind" {
    strace -o /dev/null true 2>/dev/null || skip "strace cannot trace here"
    make -s -C "$top/04-select-server" select-server
    cd "$BATS_TEST_TMPDIR"
    run env TMPDIR="$BATS_TEST_TMPDIR" "$top/timeline/timeline" TAKES=1 \
        SERVER="$top/04-select-server/select-server"
    assert_success
    assert_output $'timeline-select-server.svg\ntimeline-select-server.zh-CN.svg'
    run ls
    assert_output $'timeline-select-server.svg\ntimeline-select-server.zh-CN.svg'
    run cat timeline-select-server.svg
    assert_line --partial '<tspan class="b">C</tspan> accept(3)=6'
    assert_line --partial '>"Uryyb\n"</text>'
    run pgrep -f "^$top/04-select-server/select-server"
    assert_failure
}

@test "timeline: a port that is taken, and a server that does not serve, one line each" {
    strace -o /dev/null true 2>/dev/null || skip "strace cannot trace here"
    make -s -C "$top/04-select-server" select-server
    "$top/04-select-server/select-server" >/dev/null 3>&- &
    local server=$!
    make -s -C "$BATS_TEST_DIRNAME/.." rot13-client
    "$BATS_TEST_DIRNAME/../rot13-client" wait
    run "$top/timeline/timeline" STAGE=04 FORMAT=text
    kill $server
    wait $server
    assert_failure 1
    assert_output "timeline: port 40713 is taken by another program; PORT=... chooses another"

    run "$top/timeline/timeline" SERVER=false
    assert_failure 1
    assert_output "timeline: false: does not listen on port 40713"
}

@test "timeline: a reader is played to as well" {
    strace -o /dev/null true 2>/dev/null || skip "strace cannot trace here"
    make -s -C "$top/01-blocking-client" blocking-reader
    run "$top/timeline/timeline" TAKES=1 FORMAT=text \
        READER="$top/01-blocking-client/blocking-reader"
    assert_success
    assert_line --regexp '^ +0\.00 +blocking-reader  connect\(3\) = 0  A '
    assert_line --regexp '^ +[0-9.]+  C accepts$'
    assert_line --regexp 'blocking-reader  recv\(4\) = 8  B "one\\ntwo\\n" '
}

@test "timeline: a server that ignores SIGTERM, and its child, are ended" {
    strace -o /dev/null true 2>/dev/null || skip "strace cannot trace here"
    cat >"$BATS_TEST_TMPDIR/stubborn" <<'SH'
#!/bin/sh
trap '' TERM INT
nc -lk 127.0.0.1 40713 &
while :; do sleep 1; done
SH
    chmod +x "$BATS_TEST_TMPDIR/stubborn"
    run timeout 60 "$top/timeline/timeline" TAKES=1 SERVER="$BATS_TEST_TMPDIR/stubborn"
    assert_failure 1
    assert_line --index 0 "timeline: stubborn did not play its part; it said:"
    refute_output --partial "left behind"
    refute_output --partial "Killed"
    # One that does not listen where it should is ended as well, before that is told.
    sed -i 's/40713/40714/' "$BATS_TEST_TMPDIR/stubborn"
    run timeout 60 "$top/timeline/timeline" TAKES=1 SERVER="$BATS_TEST_TMPDIR/stubborn"
    assert_failure 1
    assert_output "timeline: stubborn: does not listen on port 40713"
}

@test "timeline: a server that plays its part and ignores SIGTERM is drawn" {
    strace -o /dev/null true 2>/dev/null || skip "strace cannot trace here"
    make -s -C "$top/06-bufferevents"
    cat >"$BATS_TEST_TMPDIR/parent" <<SH
#!/bin/sh
trap '' TERM INT
"$top/06-bufferevents/bufferevents" &
while :; do sleep 1; done
SH
    chmod +x "$BATS_TEST_TMPDIR/parent"
    run timeout 60 "$top/timeline/timeline" TAKES=1 FORMAT=text SERVER="$BATS_TEST_TMPDIR/parent"
    assert_success
    assert_line --regexp 'accept4?\(.* C '
    refute_output --partial "left behind"
    refute_output --partial "Killed"
}

@test "timeline: what a server says that dies is told" {
    strace -o /dev/null true 2>/dev/null || skip "strace cannot trace here"
    cat >"$BATS_TEST_TMPDIR/dying" <<'SH'
#!/bin/sh
# It takes a connection, a little, and then leaves.
nc -l 127.0.0.1 40713 | head -c 3 >/dev/null
echo boom
exit 3
SH
    chmod +x "$BATS_TEST_TMPDIR/dying"
    run timeout 60 "$top/timeline/timeline" TAKES=1 SERVER="$BATS_TEST_TMPDIR/dying"
    assert_failure 1
    assert_line --index 0 "timeline: dying did not play its part, and has ended with exit status 3; it said:"
    assert_line --index 1 "  boom"
}

@test "timeline: interrupted, it leaves nothing behind, and has nothing to say about it" {
    strace -o /dev/null true 2>/dev/null || skip "strace cannot trace here"
    make -s -C "$top/06-bufferevents"
    export TMPDIR="$BATS_TEST_TMPDIR/tmp"
    mkdir "$TMPDIR"
    cd "$BATS_TEST_TMPDIR"
    # While it starts the server, plays, stops it, measures, draws: as the machine is.
    for seconds in 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9; do
        run timeout -s INT $seconds "$top/timeline/timeline" SERVER="$top/06-bufferevents/bufferevents"
        refute_output --partial "left behind"
        assert_equal "$(ls "$TMPDIR")" ""
        "$BATS_TEST_DIRNAME/../rot13-client" free
    done
}
