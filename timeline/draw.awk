# draw.awk: draws what a program and its peers did, from two traces of strace.
#
#   awk -f draw.awk -v name=select-server [-v kind=server] [-v lang=en] [-v format=svg]
#       [-v stage=04] [-v cpu=MILLISECONDS] who=peers peers.trace who=program program.trace
#
# kind    server: the peers are clients, they connect; reader: the program connects,
#         its peers speak; client: the program connects to a web server
# lang    en or zh-CN
# format  svg, text, or haste: only a number, how long it took and how long every byte
#         was on its way, to tell a disturbed take from others
# cpu     CPU time that the program used, measured elsewhere; empty: not told
#
# Both traces: strace -f -ttt -T. The first peer that connects (or is connected to) is
# A, the next is B, and so on; a server accepts them in the same order, as the kernel
# hands them out in that order. So the program's descriptors are followed from accept()
# (or connect()) to close(), through fork() too, and every byte finds its call.
#
# Parts, in this order: reading a trace; what a call was; drawing; text; the end.
# POSIX awk, tried with mawk, gawk and busybox.

BEGIN {
    if (kind == "")
        kind = "server"
    if (format == "")
        format = "svg"

    PX = 88       # pixels per millisecond, the same in all pictures
    LENGTH = 9.3  # milliseconds that a picture has room for, at least
    LEFT = 138    # room for names
    RIGHT = 76    # room for counts
    LEAD = 0.5    # milliseconds before the scene begins, and after it
    WAITED = 0.25 # a call that took longer than this many milliseconds has waited
    LATE = 1      # and bytes that lay so long before they were taken are told
    CHAR = 6.05   # width of a letter of the labels

    words()
    kinds()
}

# ======================= reading a trace =======================

{
    line = $0
    pid = "?"
    if (match(line, /^[0-9]+ +/)) {
        pid = substr(line, 1, RLENGTH) + 0
        line = substr(line, RLENGTH + 1)
    }
    if (!match(line, /^[0-9]+\.[0-9]+ /)) {
        strange(FILENAME, FNR)
        next
    }
    t = milliseconds(substr(line, 1, RLENGTH - 1))
    line = substr(line, RLENGTH + 1)
    p = who " " pid # who is told to us on the command line, before each file
    if (!(p in born))
        begin_process(p, t, 0)

    if (line ~ /^\+\+\+ (exited|killed) /)
        end_process(p, t, line)
    else if (line ~ /^--- /)
        signals[p]++
    else if (line ~ /^<\.\.\. [a-z0-9_]+ resumed>/) {
        sub(/^<\.\.\. [a-z0-9_]+ resumed>/, "", line)
        if (p in pending) {
            i = pending[p]
            delete pending[p]
            if (line ~ /<unfinished \.\.\.>\) = \?$/) # killed in it
                never_returned(i, t)
            else
                complete(i, args[i] line)
        } else
            strange(FILENAME, FNR)
    } else if (match(line, /^[a-z0-9_]+\(/))
        begin_call(p, t, substr(line, 1, RLENGTH - 1), substr(line, RLENGTH + 1))
    else
        strange(FILENAME, FNR)
}

# A time stamp is too long for a number: from the first second on.
function milliseconds(stamp,    part) {
    split(stamp, part, ".")
    if (base == "")
        base = part[1]
    return (part[1] - base) * 1000 + ("0." part[2]) * 1000
}

function strange(file, number) {
    if (!n_strange++)
        complain(file ":" number ": not a line of strace -f -ttt -T, left out")
}

function complain(what) {
    print "timeline: " what | "cat >&2"
}

# MAKER is the call that made the process. It may not have returned yet when the child
# is heard of for the first time: then it is the one that is making a process just now.
function begin_process(p, t, maker,    q, k, key) {
    born[p] = t
    table[p] = p
    process[who, ++n_processes[who]] = p
    for (q in pending)
        if (!maker && makes_process(pending[q]))
            maker = pending[q]
    if (!maker)
        return

    parent[p] = q = actor[maker]
    made_by[p] = maker
    if (args[maker] ~ /CLONE_THREAD/)
        is_thread[p] = 1
    if (args[maker] ~ /CLONE_FILES/) {
        table[p] = table[q]
        return
    }
    for (k in peer_of) { # it inherits the descriptors
        split(k, key, SUBSEP)
        if (key[1] == table[q])
            inherited[key[2]] = peer_of[k]
    }
    for (k in inherited) {
        peer_of[p, k] = inherited[k]
        delete inherited[k]
    }
}

function makes_process(i) {
    return call[i] ~ /^(clone|clone3|fork|vfork)$/
}

function end_process(p, t, line) {
    died[p] = t
    if (line ~ /killed/)
        killed[p] = 1
    if (p in pending) {
        never_returned(pending[p], t)
        delete pending[p]
    }
}

function never_returned(i, t) {
    finish[i] = t
    unfinished[i] = 1
    result[i] = "?"
    classify(i)
}

function begin_call(p, t, name, rest,    i) {
    i = ++n_calls
    actor[i] = p
    side[i] = who
    call[i] = name
    start[i] = t
    if (match(rest, /^[0-9]+[,) ]/))
        fd[i] = substr(rest, 1, RLENGTH - 1)
    peer[i] = peer_of[table[p], fd[i]]
    if (sub(/ *<unfinished \.\.\.>(\) += \?)?$/, "", rest)) {
        args[i] = rest
        pending[p] = i
    } else
        complete(i, rest)
}

# REST is what stands after the opening parenthesis: arguments, result, time.
function complete(i, rest,    at, p, f) {
    p = actor[i]
    finish[i] = start[i]
    if (match(rest, / <[0-9.]+>$/)) {
        finish[i] = start[i] + substr(rest, RSTART + 2, RLENGTH - 3) * 1000
        rest = substr(rest, 1, RSTART - 1)
    }
    at = 0 # the last ") =": there may be others in what was sent
    while (match(substr(rest, at + 1), /\) += /)) {
        result[i] = substr(rest, at + RSTART + RLENGTH)
        at += RSTART
    }
    args[i] = at ? substr(rest, 1, at - 1) : rest
    error[i] = ""
    if (result[i] ~ /^(-1|\?) E/) {
        split(result[i], f, " ")
        error[i] = f[2]
    }
    follow(i, p)
    classify(i)
}

# Which descriptor belongs to which peer.
function follow(i, p,    f, to) {
    f = call[i]
    to = result[i] + 0
    if (f ~ /^accept4?$/ && to >= 0 && !error[i] && result[i] != "?")
        peer[i] = peer_of[table[p], to] = next_peer()
    else if (f == "connect" && args[i] ~ /AF_INET/ &&
        (error[i] == "" || error[i] == "EINPROGRESS") && peer[i] == "")
        peer[i] = peer_of[table[p], fd[i]] = next_peer()
    else if (f == "close")
        delete peer_of[table[p], fd[i]]
    else if (f ~ /^dup[23]?$/ && to >= 0 && peer[i] != "")
        peer_of[table[p], to] = peer[i]
    else if (makes_process(i) && to > 0 && !((who " " to) in born))
        begin_process(who " " to, finish[i], i)
}

function next_peer() {
    return substr("ABCDEFGHIJKLMNOPQRSTUVWXYZ", ++n_peers[who], 1)
}

# ======================= what a call was =======================

function kinds(    i, n, list) {
    n = split("accept accept4 connect", list, " ")
    for (i = 1; i <= n; i++)
        usual[list[i]] = "conn"
    n = split("select pselect6 poll ppoll epoll_wait epoll_pwait epoll_pwait2 " \
        "io_uring_enter", list, " ")
    for (i = 1; i <= n; i++)
        usual[list[i]] = "many"
    n = split("read recvfrom recvmsg readv", list, " ")
    for (i = 1; i <= n; i++)
        usual[list[i]] = "in"
    n = split("write sendto sendmsg writev sendfile splice", list, " ")
    for (i = 1; i <= n; i++)
        usual[list[i]] = "out"
    n = split("clone clone3 fork vfork wait4 waitid exit exit_group", list, " ")
    for (i = 1; i <= n; i++)
        usual[list[i]] = "proc"
}

# way: the call's usual purpose. look: how it is drawn, one of
#   conn  waited for a connection, or took one    wait  waited for data of one peer
#   many  waited for any of many                  vain  asked, and there was nothing
#   data  moved data                              proc  made, buried or ended a process
#   other everything else, calls that are not known here too
function classify(i,    took) {
    took = finish[i] - start[i]
    way[i] = usual[call[i]]
    waited[i] = took > WAITED
    if (error[i] ~ /^(EAGAIN|EWOULDBLOCK)$/ ||
        (way[i] == "many" && result[i] ~ /^0/ && took < WAITED))
        look[i] = "vain"
    else if (way[i] == "in" || way[i] == "out")
        look[i] = waited[i] || unfinished[i] ? "wait" : "data"
    else
        look[i] = way[i] == "" ? "other" : way[i]
    bytes[i] = (way[i] == "in" || way[i] == "out") && !error[i] ? result[i] + 0 : -1
}

# A call as the program's source writes it: recv(4), pselect([3 4]).
function shown(i,    f, a, list) {
    f = call[i]
    a = fd[i]
    if (f ~ /^p?select/ && match(args[i], /\[[0-9 ]*\]/))
        a = substr(args[i], RSTART, RLENGTH)
    else if (f ~ /^p?poll/) {
        list = args[i]
        a = ""
        while (match(list, /fd=[0-9]+/)) {
            a = a (a == "" ? "" : " ") substr(list, RSTART + 3, RLENGTH - 3)
            list = substr(list, RSTART + RLENGTH)
        }
        a = "[" a "]"
    } else if (f ~ /^(clone|clone3|fork|vfork|wait4|exit|exit_group)$/)
        a = ""
    if (f ~ /^clone/ && args[i] !~ /CLONE_THREAD/)
        f = "fork"
    sub(/^recvfrom$/, "recv", f)
    sub(/^sendto$/, "send", f)
    sub(/^pselect6$/, "pselect", f)
    sub(/^exit_group$/, "exit", f)
    return f "(" a ")"
}

function outcome(i,    r) {
    if (unfinished[i])
        return " " W["never"]
    if (error[i])
        return " " error[i]
    split(result[i], r, " ")
    if (makes_process(i) && (("program " r[1]) in row_name))
        return " = " row_name["program " r[1]]
    return r[1] == "?" || r[1] == "" ? "" : " = " r[1]
}

# What was sent or received, at most so many letters of it.
function quoted(i, most,    s) {
    if (!match(args[i], /"([^"\\]|\\.)*"/))
        return ""
    s = substr(args[i], RSTART + 1, RLENGTH - 2)
    if (length(s) > most) {
        s = substr(s, 1, most)
        sub(/\\$/, "", s)
        return "\"" s "\"..."
    }
    return "\"" s "\""
}

# The scene begins with the first connection and ends when the last peer has closed
# and the program is at rest again.
function find_scene(    i, last) {
    scene_start = ""
    last = 0
    for (i = 1; i <= n_calls; i++) {
        if (side[i] == "peers" && peer[i] != "") {
            if (scene_start == "")
                scene_start = start[i]
            last = finish[i] > last ? finish[i] : last
        }
    }
    for (i = 1; i <= n_calls; i++)
        if (kind != "server" && side[i] == "program" && call[i] == "connect" &&
            peer[i] != "" && start[i] < scene_start)
            scene_start = start[i]
    if (scene_start == "")
        return 0

    # What the program does soon after that belongs to the scene; it is stopped later.
    scene_end = last
    for (i = 1; i <= n_calls; i++)
        if (side[i] == "program" && look[i] != "vain" && start[i] > last &&
            start[i] < last + 40 && !(way[i] != "proc" && (waited[i] || unfinished[i])))
            if (finish[i] > scene_end)
                scene_end = finish[i]
    from = scene_start - (kind == "server" ? LEAD : 0.1)
    to = scene_end + LEAD
    return 1
}

function in_scene(i) {
    return finish[i] >= from && start[i] <= to
}

# Who gets a row, and what it is called; what each of them did.
function count(    n, p, i, k) {
    for (i = 1; i <= n_calls; i++) {
        if (!in_scene(i) || side[i] != "program")
            continue
        p = actor[i]
        n_by[p]++
        n_look[p, look[i]]++
        time_look[p, look[i]] += (finish[i] < to ? finish[i] : to) - \
            (start[i] > from ? start[i] : from)
        total++
        if (look[i] == "vain")
            in_vain++
    }
    for (n = 1; n <= n_processes["program"]; n++) {
        p = process["program", n]
        if (!n_by[p])
            continue
        row[++n_rows] = p
        k = p in is_thread ? "thread" : "child"
        row_name[p] = n_rows == 1 ? name : W[k] " " ++numbered[k]
    }
}

# ======================= drawing =======================

function draw_svg(    k, n, p, y, i) {
    width = LEFT + RIGHT + PX * (to - from > LENGTH ? to - from : LENGTH)

    # The parts are drawn into strings first: the height is known at the end.
    y = 66
    top = y
    for (k = 1; k <= n_peers["peers"]; k++) {
        peer_y[substr("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k, 1)] = y + 14
        y += 40
    }
    y += 4
    for (n = 1; n <= n_rows; n++) {
        p = row[n]
        place_labels(p)
        row_y[p] = y + 12 * n_lanes[p] + 18
        y = row_y[p] + 34
    }
    bottom = y - 8
    for (k = 1; k <= n_peers["peers"]; k++)
        draw_peer(substr("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k, 1))
    for (n = 1; n <= n_rows; n++)
        draw_process(row[n])
    draw_lines()
    height = bottom + 92

    head()
    draw_axis()
    printf "%s", lines
    printf "%s", bars
    printf "%s", labels
    legend(bottom + 42)
    print "</svg>"
}

function x(t) {
    return sprintf("%.1f", LEFT + PX * ((t < from ? from : t > to ? to : t) - from))
}

function escape(s) {
    gsub(/&/, "\\&amp;", s)
    gsub(/</, "\\&lt;", s)
    gsub(/>/, "\\&gt;", s)
    return s
}

function head(    id) {
    id = name
    gsub(/[^A-Za-z0-9-]/, "-", id)
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" " \
        "viewBox=\"0 0 %d %d\" lang=\"%s\" role=\"img\" aria-labelledby=\"%s-t %s-d\">\n", \
        width, height, width, height, lang == "zh-CN" ? lang : "en", id, id
    printf "<title id=\"%s-t\">%s</title>\n", id, escape(sprintf(W["title"], name))
    printf "<desc id=\"%s-d\">%s</desc>\n", id, escape(description())
    style()
    printf "<rect class=\"bg\" width=\"%d\" height=\"%d\"/>\n", width, height
    printf "<text class=\"h\" x=\"12\" y=\"24\">%s</text>\n", \
        (stage == "" ? "" : stage "  ") escape(name)
    printf "<text class=\"t e\" x=\"%d\" y=\"24\">%s</text>\n", width - 12, sum_up()
}

function sum_up(    s) {
    s = sprintf(W["calls"], total)
    if (in_vain)
        s = s W["comma"] "<tspan class=\"fv\">" sprintf(W["in vain"], in_vain) "</tspan>"
    if (cpu != "")
        s = s W["comma"] cpu_words()
    return s
}

# A server's CPU time is known well, a reader's less so: its start is in the measurement.
function cpu_words() {
    if (kind == "server")
        return sprintf(W["cpu"], cpu)
    return cpu < 1.5 ? W["no cpu"] : sprintf(W["cpu"], int(cpu + 0.5))
}

function style() {
    print "<style>"
    print "text{font:12px system-ui,-apple-system,'Segoe UI','Noto Sans CJK SC'," \
        "'PingFang SC','Microsoft YaHei',sans-serif;fill:#1f2328}"
    print ".h{font-size:17px;font-weight:600}.e{text-anchor:end}.c{text-anchor:middle}"
    print ".m{font:10px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono'," \
        "monospace}.b{font-weight:700}.d{fill:#59636e}"
    print ".o{paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}"
    print ".bg{fill:#fff}.g{stroke:#d1d9e0;stroke-width:.6}.l{stroke:#818b98;fill:none}"
    print ".k{stroke:#59636e;fill:none;stroke-width:.8}.s{fill:#1f2328}" \
        ".r{fill:#fff;stroke:#1f2328;stroke-width:1.3}.x{stroke:#1f2328;stroke-width:1.6}"
    print ".conn{fill:#a5d0fb}.wait{fill:#f7d774}.many{fill:#93dcb8}" \
        ".took{fill:#0969da}.data{fill:#8250df}.proc{fill:#d6409f}.other{fill:#8c959f}"
    print ".vain{stroke:#d1242f;stroke-width:.9;fill:none}.fv{fill:#d1242f}" \
        ".birth{stroke:#d6409f;stroke-width:1.2;fill:none}" \
        ".late{stroke:#bc4c00;stroke-width:1.6;stroke-dasharray:5 3}.flate{fill:#bc4c00}"
    print "@media(prefers-color-scheme:dark){text,.s{fill:#e6edf3}.d{fill:#9198a1}" \
        ".o{stroke:#0d1117}.bg{fill:#0d1117}.g{stroke:#30363d}.l{stroke:#656c76}" \
        ".k{stroke:#9198a1}.r{fill:#0d1117;stroke:#e6edf3}.x{stroke:#e6edf3}" \
        ".conn{fill:#1c4a80}.wait{fill:#6b5100}.many{fill:#17563d}.took{fill:#4ea1ff}" \
        ".data{fill:#c297ff}.proc{fill:#f778ba}.other{fill:#7d8590}" \
        ".vain{stroke:#ff7b72}.fv{fill:#ff7b72}.birth{stroke:#f778ba}" \
        ".late{stroke:#f0883e}.flate{fill:#f0883e}}"
    print "</style>"
}

function draw_axis(    ms, at) {
    for (ms = 0; scene_start + ms <= to; ms++) {
        at = x(scene_start + ms)
        printf "<path class=\"g\" d=\"M%s %dV%d\"/>", at, top - 12, bottom
        printf "<text class=\"d c\" x=\"%s\" y=\"%d\">%s</text>\n", at, top - 17, \
            ms ? ms : "0 ms"
    }
    printf "<text class=\"d\" x=\"12\" y=\"%d\">%s</text>\n", top - 17, W["time"]
}

# One row for a peer: when its connection was open, what it sent (above the line) and
# what it received (below).
function draw_peer(who_is,    i, y, open, close_at, spoke, at, s, next_at) {
    y = peer_y[who_is]
    open = close_at = ""
    next_at["in"] = next_at["out"] = width
    for (i = n_calls; i > 0; i--) { # backwards, to know how much room a text has
        if (side[i] != "peers" || peer[i] != who_is)
            continue
        at = x(start[i])
        if (call[i] ~ /^(connect|accept4?)$/) {
            at = x(call[i] == "connect" ? start[i] : finish[i])
            open = at
            s = s sprintf("<circle class=\"r\" cx=\"%s\" cy=\"%d\" r=\"3.5\"/>", at, y)
        } else if (call[i] == "close") {
            close_at = at
            s = s sprintf("<path class=\"x\" d=\"M%s %dl8 8m0 -8l-8 8\"/>", at - 4, y - 4)
        } else if (way[i] == "out" && bytes[i] > 0) {
            spoke = 1
            s = s sprintf("<path class=\"s\" d=\"M%s %dl-4.5 -9h9z\"/>", at, y)
            s = s beside(at, y - 6, i, next_at["out"] - at)
            next_at["out"] = at
        } else if (way[i] == "in" && bytes[i] > 0) {
            at = x(finish[i])
            s = s sprintf("<path class=\"s\" d=\"M%s %dl-4.5 9h9z\"/>", at, y)
            s = s beside(at, y + 15, i, next_at["in"] - at)
            next_at["in"] = at
        }
        s = s "\n"
    }
    if (open == "")
        return
    bars = bars sprintf("<path class=\"l\" d=\"M%s %dH%s\"/>", open, y, \
        close_at == "" ? x(to) : close_at) s
    if (!spoke)
        labels = labels sprintf("<text class=\"o d\" x=\"%s\" y=\"%d\">%s</text>\n", \
            open + 8, y - 6, W["silent"])
    labels = labels sprintf("<text x=\"12\" y=\"%d\">%s</text>\n", y + 4, \
        W[kind] (kind == "client" ? "" : " " who_is))
}

# What was sent or received, beside its arrow, as far as there is room; an arrow so near
# to the next one that there is room for nothing has its text in the call that took it.
function beside(at, y, i, room,    n) {
    if (room < 7 * CHAR)
        return ""
    n = int((room - 14) / CHAR) - 5
    return label(at + 6, y, quoted(i, n < 1 ? 1 : n > 22 ? 22 : n))
}

function label(at, y, s) {
    return sprintf("<text class=\"m o\" x=\"%.1f\" y=\"%d\">%s</text>", at, y, escape(s))
}

# Calls that are named above their row: those that moved data, took a connection, made
# a process. They stand in lanes, so that none is written over another.
function place_labels(p,    i, lane, at, s, end) {
    n_lanes[p] = 0
    for (i = 1; i <= n_calls; i++) {
        if (actor[i] != p || !in_scene(i) || !is_named(i))
            continue
        s = shown(i) outcome(i)
        gsub(/ = /, "=", s)
        at = x(taken(i)) + 0
        for (lane = 1; lane in end && end[lane] > at; lane++)
            ;
        end[lane] = at + CHAR * (length(s) + 3)
        lane_of[i] = lane
        text_of[i] = s
        if (lane > n_lanes[p])
            n_lanes[p] = lane
    }
}

function is_named(i) {
    return bytes[i] >= 0 || (way[i] == "conn" && !error[i] && !unfinished[i]) || \
        (makes_process(i) && !error[i])
}

# When the call had what it wanted: one that takes, at its end; one that gives, at once.
function taken(i) {
    return way[i] == "in" || way[i] == "conn" ? finish[i] : start[i]
}

function draw_process(p,    i, y, w, x0, first, n_run, run_from, run_to, run_path, last) {
    y = row_y[p]
    first = x(born[p])
    bars = bars sprintf("<path class=\"l\" d=\"M%s %dH%s\"/>\n", first, y, \
        x(p in died ? died[p] : to))
    if (p in made_by && parent[p] in row_y) {
        i = made_by[p]
        lines = lines sprintf("<path class=\"birth\" d=\"M%s %dV%dH%s\"/>\n", \
            x(start[i]), row_y[parent[p]] + 11, y, first)
    }
    if (p in died && died[p] <= to)
        labels = labels sprintf("<text class=\"o d\" x=\"%.1f\" y=\"%d\">%s</text>\n", \
            x(died[p]) + 5, y + 4, p in killed ? W["killed"] : W["ended"])

    n_run = 0
    for (i = 1; i <= n_calls; i++) {
        if (actor[i] != p || !in_scene(i))
            continue
        x0 = x(start[i])
        w = x(finish[i]) - x0
        if (look[i] == "vain") { # these come by the hundred: one path for a whole run
            if (!n_run++) {
                run_from = x0
                run_path = ""
                last = -9
            }
            if (x0 - last >= 0.8) {
                run_path = run_path sprintf("M%s %dv22", x0, y - 11)
                last = x0
            }
            run_to = x0
            continue
        }
        if (n_run)
            draw_run(n_run, run_from, run_to, run_path, y)
        n_run = 0
        draw_call(i, y, x0, w)
    }
    if (n_run)
        draw_run(n_run, run_from, run_to, run_path, y)

    labels = labels sprintf("<text x=\"12\" y=\"%d\">%s</text>\n", y + 4, \
        escape(row_name[p]))
    if (n_rows > 1)
        labels = labels sprintf("<text class=\"e\" x=\"%d\" y=\"%d\">%s</text>\n", \
            width - 12, y + 4, sprintf(W["calls"], n_by[p]))
}

function draw_run(n, run_from, run_to, path, y,    s, room) {
    s = sprintf(W["vain run"], n)
    bars = bars sprintf("<path class=\"vain\" d=\"%s\"><title>%s</title></path>\n", path, s)
    room = run_to - run_from
    if (room > 30)
        labels = labels sprintf("<text class=\"o c fv\" x=\"%.1f\" y=\"%d\">%s</text>\n", \
            (run_from + run_to) / 2, y + 24, room > 80 ? sprintf(W["vain label"], n) : n " ×")
}

function draw_call(i, y, x0, w,    title, s, cap) {
    title = sprintf("<title>%s, %.3f ms</title>", \
        escape(shown(i) outcome(i) (bytes[i] > 0 ? " " quoted(i, 22) : "")), \
        finish[i] - start[i])
    if ((waited[i] || unfinished[i]) && look[i] ~ /^(conn|wait|many|other)$/) {
        bars = bars sprintf("<rect class=\"%s\" x=\"%s\" y=\"%d\" width=\"%.1f\" " \
            "height=\"16\">%s</rect>", look[i], x0, y - 8, w < 1 ? 1 : w, title)
        if (is_named(i)) {
            cap = way[i] == "conn" ? "took" : "data"
            bars = bars sprintf("<rect class=\"%s\" x=\"%.1f\" y=\"%d\" width=\"2.4\" " \
                "height=\"22\"/>", cap, x0 + w - 2.4, y - 11)
        }
        s = shown(i)
        if (CHAR * (length(s) + 2) + 8 >= w)
            sub(/\(.*/, "", s)
        if (CHAR * (length(s) + 2) + 8 < w)
            bars = bars sprintf("<text class=\"m c\" x=\"%.1f\" y=\"%.1f\">%s%s</text>", \
                x0 + w / 2, y + 3.5, way[i] == "in" ? initial(i) : "", escape(s))
        bars = bars "\n"
    } else {
        cap = look[i] == "conn" ? "took" : look[i]
        bars = bars sprintf("<rect class=\"%s\" x=\"%s\" y=\"%d\" width=\"%.1f\" " \
            "height=\"%d\">%s</rect>\n", cap, x0, look[i] == "other" ? y - 6 : y - 11, \
            w < 1.4 ? 1.4 : w, look[i] == "other" ? 12 : 22, title)
    }
    if (i in lane_of) {
        s = x(taken(i))
        lines = lines sprintf("<path class=\"l\" d=\"M%s %dV%d\"/>\n", s, y - 11, \
            y - 11 - 12 * lane_of[i] + 2)
        labels = labels sprintf("<text class=\"m o\" x=\"%.1f\" y=\"%d\">%s%s</text>\n", \
            s + 2, y - 3 - 12 * lane_of[i], initial(i), escape(text_of[i]))
    }
}

# Whom the call had to do with.
function initial(i) {
    return peer[i] == "" ? "" : "<tspan class=\"b\">" peer[i] "</tspan> "
}

# From a peer's byte to the call that took it, and from the answer to the peer.
function draw_lines(    i, letter) {
    for (i = 1; i <= n_calls; i++) {
        letter = peer[i]
        if (letter == "")
            continue
        if (bytes[i] > 0)
            note(i, letter, side[i] " " way[i])
        else if (side[i] == "peers" && call[i] == "connect")
            connected[letter] = start[i]
        else if (side[i] == "peers" && call[i] == "close")
            closed[letter] = start[i]
    }
    for (i = 1; i <= n_calls; i++) {
        letter = peer[i]
        if (side[i] != "program" || letter == "" || !in_scene(i))
            continue
        if (way[i] == "conn" && letter in connected)
            connect_points(connected[letter], letter, taken(i), i)
        else if (way[i] == "in" && bytes[i] == 0 && letter in closed)
            connect_points(closed[letter], letter, taken(i), i)
    }
    for (i = 1; i <= 26; i++) {
        letter = substr("ABCDEFGHIJKLMNOPQRSTUVWXYZ", i, 1)
        match_bytes(letter, "peers out", "program in")
        match_bytes(letter, "program out", "peers in")
    }
}

# The stream that this call moved, from byte to byte.
function note(i, letter, stream,    n) {
    n = ++n_moves[letter, stream]
    move[letter, stream, n] = i
    move_from[i] = moved[letter, stream] + 0
    move_to[i] = moved[letter, stream] += bytes[i]
}

function match_bytes(letter, sent, got,    a, b, i, j) {
    for (a = 1; a <= n_moves[letter, sent]; a++)
        for (b = 1; b <= n_moves[letter, got]; b++) {
            i = move[letter, sent, a]
            j = move[letter, got, b]
            if (move_from[i] < move_to[j] && move_from[j] < move_to[i]) {
                if (sent == "peers out")
                    connect_points(start[i], letter, taken(j), j)
                else
                    connect_points(finish[j], letter, start[i], i)
            }
        }
}

function connect_points(t_peer, letter, t_call, i,    late, y) {
    delay += t_call > t_peer ? t_call - t_peer : t_peer - t_call
    y = row_y[actor[i]] - 11
    late = t_call - t_peer > LATE && bytes[i] > 0 && way[i] == "in"
    lines = lines sprintf("<path class=\"%s\" d=\"M%s %dL%s %d\"/>\n", late ? "late" : "k", \
        x(t_peer), peer_y[letter], x(t_call), y)
    if (late)
        labels = labels sprintf("<text class=\"o flate\" x=\"%.1f\" y=\"%d\">%s</text>\n", \
            0.6 * x(t_peer) + 0.4 * x(t_call) + 10, 0.6 * peer_y[letter] + 0.4 * y, \
            sprintf(W["late"], t_call - t_peer))
}

function swatch(at, y, class) {
    return sprintf("<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"20\" height=\"12\"/>", \
        class, at, y - 10)
}

function legend(y,    at, i, n, list) {
    print "<g class=\"legend\">"
    n = split("conn wait many vain data proc other", list, " ")
    at = 12
    for (i = 1; i <= n; i++) {
        if (list[i] == "vain")
            printf "<path class=\"vain\" d=\"M%d %dv14m3 -14v14m3 -14v14m3 -14v14m3 -14v14\"/>", \
                at + 3, y - 11
        else if (list[i] ~ /^(data|proc)$/)
            printf "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"4\" height=\"16\"/>", \
                list[i], at + 14, y - 12
        else if (list[i] == "other")
            printf "<rect class=\"other\" x=\"%d\" y=\"%d\" width=\"4\" height=\"10\"/>", \
                at + 14, y - 9
        else
            printf "%s", swatch(at, y, list[i])
        if (list[i] == "conn")
            printf "<rect class=\"took\" x=\"%d\" y=\"%d\" width=\"2.4\" height=\"16\"/>", \
                at + 20, y - 12
        printf "<text x=\"%d\" y=\"%d\">%s</text>\n", at + 26, y, W["k " list[i]]
        at += 38 + W["w " list[i]]
    }
    y += 26
    printf "<circle class=\"r\" cx=\"16\" cy=\"%d\" r=\"3.5\"/>", y - 4
    printf "<text x=\"26\" y=\"%d\">%s</text>", y, W["opens"]
    at = 26 + W["w opens"]
    printf "<path class=\"s\" d=\"M%d %dl-4.5 -9h9z\"/>", at + 4, y
    printf "<text x=\"%d\" y=\"%d\">%s</text>", at + 14, y, W["sends"]
    at += 14 + W["w sends"]
    printf "<path class=\"s\" d=\"M%d %dl-4.5 9h9z\"/>", at + 4, y - 9
    printf "<text x=\"%d\" y=\"%d\">%s</text>", at + 14, y, W["hears"]
    at += 14 + W["w hears"]
    printf "<path class=\"x\" d=\"M%d %dl8 8m0 -8l-8 8\"/>", at, y - 8
    printf "<text x=\"%d\" y=\"%d\">%s</text>", at + 14, y, W["closes"]
    at += 14 + W["w closes"]
    printf "<path class=\"k\" d=\"M%d %dl14 -12\"/>", at, y
    printf "<text x=\"%d\" y=\"%d\">%s</text>\n", at + 20, y, W["line"]
    print "</g>"
}

# The picture for those who cannot see it.
function description(    n, p, k, i, s, list, part) {
    s = sprintf(W["desc"], name, scene_end - scene_start, total)
    k = split("conn wait many vain data proc other", list, " ")
    for (n = 1; n <= n_rows; n++) {
        p = row[n]
        part = ""
        for (i = 1; i <= k; i++)
            if (n_look[p, list[i]])
                part = part (part == "" ? "" : W["comma"]) \
                    sprintf(W["desc part"], W["k " list[i]], n_look[p, list[i]], \
                    time_look[p, list[i]])
        s = s " " sprintf(W["desc row"], row_name[p], n_by[p], part)
    }
    return s
}

# ======================= text =======================

# A line is 80 columns wide: time, who, the call, and how long it took.
function draw_text(    i, j, k, n, at, s, key, again, wide, room) {
    # In order of time; each list is nearly sorted already.
    n = 0
    for (i = 1; i <= n_calls; i++) {
        if (!in_scene(i) || (side[i] == "peers" && deed(i) == ""))
            continue
        at = moment(i)
        for (j = n++; j > 0 && moment(order[j]) > at; j--)
            order[j + 1] = order[j]
        order[j + 1] = i
    }
    for (i = 1; i <= n_rows; i++)
        if (length(row_name[row[i]]) > wide)
            wide = length(row_name[row[i]])
    room = 80 - 8 - 2 - wide - 2 - 1 - 9
    printf "%8s\n", "ms"
    for (i = 1; i <= n; i = j) {
        k = order[i]
        at = start[k] - scene_start
        if (side[k] == "peers") {
            printf "%8.2f  %s %s\n", moment(k) - scene_start, \
                kind == "client" ? W["client"] : peer[k], deed(k)
            j = i + 1
            continue
        }
        key = folded(k)
        again = 1
        for (j = i + 1; j <= n && side[order[j]] == "program" && \
            folded(order[j]) == key; j++)
            again++
        if (look[k] == "vain" && again > 1)
            s = sprintf(W["vain run"], again)
        else {
            s = shown(k) outcome(k) (peer[k] == "" ? "" : "  " peer[k])
            if (bytes[k] > 0) # as much as there is room for, with quotes, and ... after them
                s = s " " quoted(k, room - length(s) - 6)
            s = s (again > 1 ? "  x " again : "")
        }
        # Some awks count bytes, two for a multiplication sign.
        printf "%8.2f  %" wide "s  %-" (room + (s ~ /×/) * (length("×") - 1)) "s %s\n", \
            at, row_name[actor[k]], s, \
            (finish[order[j - 1]] > to ? "   ..." : \
            sprintf("%6.2f ms", finish[order[j - 1]] - start[k]))
    }
    s = sum_up()
    gsub(/<[^>]*>/, "", s)
    printf "%s: %s\n", name, s
}

function moment(i) {
    return side[i] == "peers" && call[i] != "connect" && way[i] != "out" && \
        call[i] != "close" ? finish[i] : start[i]
}

# What a peer did, or nothing if it is of no interest.
function deed(i) {
    if (peer[i] == "")
        return ""
    if (call[i] ~ /^(connect|accept4?)$/)
        return call[i] == "connect" ? "connects" : "accepts"
    if (call[i] == "close")
        return "closes"
    if (bytes[i] > 0)
        return (way[i] == "out" ? "sends " : "hears ") quoted(i, 48)
    return ""
}

# Calls with the same key, one after the other, are one line.
function folded(i) {
    return actor[i] " " (look[i] == "vain" ? "vain" : shown(i) outcome(i) waited[i])
}

# ======================= the end =======================

END {
    for (p in pending)
        never_returned(pending[p], t > finish[pending[p]] ? t : finish[pending[p]])
    for (i = 1; i <= n_calls; i++)
        n_side[side[i]]++
    if (!n_side["program"])
        problem = "no system call in its trace; did it start?"
    else if (!n_side["peers"] || !find_scene())
        problem = "nobody connected in this trace"
    if (problem) {
        complain(name ": " problem)
        exit 1
    }
    count()
    if (format == "haste") {
        draw_lines()
        printf "%d\n", (3 * (to - from) + delay) * 1000
    } else if (format == "text")
        draw_text()
    else
        draw_svg()
}

function words() {
    if (lang == "zh-CN" && format == "svg")
        words_zh_CN()
    else
        words_en()
}

function words_en() {
    W["title"] = "%s: what its peers did, and the system calls that it made"
    W["desc"] = "Time runs to the right. %s made its system calls in a scene of %.1f ms, %d in all."
    W["desc row"] = "%s: %d calls: %s."
    W["desc part"] = "%s %d (%.2f ms)"
    W["comma"] = ", "
    W["time"] = "time"
    W["calls"] = "%d calls"
    W["in vain"] = "%d in vain"
    W["vain run"] = "%d × nothing yet"
    W["vain label"] = "%d × nothing"
    W["cpu"] = "%s ms of CPU time"
    W["no cpu"] = "1 ms of CPU time or less"
    W["server"] = "client"
    W["reader"] = "speaker"
    W["client"] = "web server"
    W["child"] = "child"
    W["thread"] = "thread"
    W["silent"] = "says nothing"
    W["late"] = "%.1f ms unread"
    W["never"] = "never returned"
    W["ended"] = "ended"
    W["killed"] = "killed"
    W["k conn"] = "waits for a connection"
    W["k wait"] = "waits for one connection"
    W["k many"] = "waits for any of many"
    W["k vain"] = "asks in vain"
    W["k data"] = "moves data"
    W["k proc"] = "makes or ends a process"
    W["k other"] = "other call"
    W["w conn"] = 128
    W["w wait"] = 146
    W["w many"] = 124
    W["w vain"] = 74
    W["w data"] = 74
    W["w proc"] = 140
    W["opens"] = "connects"
    W["sends"] = "sends"
    W["hears"] = "receives"
    W["closes"] = "closes"
    W["w opens"] = 66
    W["w sends"] = 46
    W["w hears"] = 60
    W["w closes"] = 50
    W["line"] = "from a byte to the call that took it, and from the answer back;" \
        "  (4): descriptor, =3: bytes, =0: end of file"
}

function words_zh_CN() {
    W["title"] = "%s：对方做了什么，它自己调用了哪些系统调用"
    W["desc"] = "时间从左到右。%s 在这 %.1f 毫秒的一幕中共有 %d 次系统调用。"
    W["desc row"] = "%s：%d 次：%s。"
    W["desc part"] = "%s %d 次（%.2f 毫秒）"
    W["comma"] = "，"
    W["time"] = "时间"
    W["calls"] = "%d 次调用"
    W["in vain"] = "白问 %d 次"
    W["vain run"] = "%d × 还没有"
    W["vain label"] = "%d × 没有"
    W["cpu"] = "CPU 时间 %s 毫秒"
    W["no cpu"] = "CPU 时间至多 1 毫秒"
    W["server"] = "客户端"
    W["reader"] = "对方"
    W["client"] = "Web 服务器"
    W["child"] = "子进程"
    W["thread"] = "线程"
    W["silent"] = "一言不发"
    W["late"] = "%.1f 毫秒没人读"
    W["never"] = "没有返回"
    W["ended"] = "结束"
    W["killed"] = "被杀死"
    W["k conn"] = "等待连接"
    W["k wait"] = "等待某一个连接"
    W["k many"] = "等待其中任意一个"
    W["k vain"] = "白问一次"
    W["k data"] = "收发数据"
    W["k proc"] = "创建或结束进程"
    W["k other"] = "其他调用"
    W["w conn"] = 60
    W["w wait"] = 92
    W["w many"] = 104
    W["w vain"] = 56
    W["w data"] = 56
    W["w proc"] = 92
    W["opens"] = "连接"
    W["sends"] = "发送"
    W["hears"] = "收到"
    W["closes"] = "关闭"
    W["w opens"] = 40
    W["w sends"] = 40
    W["w hears"] = 40
    W["w closes"] = 40
    W["line"] = "从字节到取走它的调用，从回答回到对方；(4)：文件描述符，=3：字节数，=0：对方已关闭"
}
