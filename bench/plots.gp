# The pictures of docs/efficiency.md, out of the summary that bench/bench writes.
#
#     gnuplot -e "summary='bench/results/summary.csv'; out='FOLDER/'; lang='en'" bench/plots.gp
#
# No background, and colours neither dark nor light: the pages are either.

tr(en, zh) = lang eq 'zh' ? zh : en

# The rows of one experiment and server: x, median, min, max of a figure.
rows(experiment, server, figure) = sprintf( \
    "< awk -F, '$1 == \"%s\" && $3 == \"%s\" && $4 == \"%s\" { print $2, $7, $8, $9 }' %s", \
    experiment, server, figure, summary)
# One figure of several servers, in this order: server, median, min, max.
bars(experiment, x, figure, servers) = sprintf( \
    "< awk -F, -v list=\"%s\" 'BEGIN { n = split(list, order, \";\") } ".\
    "$1 == \"%s\" && $2 == \"%s\" && $4 == \"%s\" { v[$3] = $7 \" \" $8 \" \" $9 } ".\
    "END { for (i = 1; i <= n; ++i) if (order[i] in v) print \"\\\"\" order[i] \"\\\"\", v[order[i]] }' %s", \
    servers, experiment, x, figure, summary)

grey = '#808890'
set terminal svg size 760,420 font 'sans-serif,13' noenhanced
set border 3 lc rgb grey
set tics nomirror textcolor rgb grey
set key top left Left reverse textcolor rgb grey samplen 2
set grid y lc rgb '#70808890' lt 1 lw 0.5
set title textcolor rgb grey
set style fill solid 0.85 noborder
set boxwidth 0.6
set bars 0.5

# One colour for a server, in every picture.
set linetype 1 lc rgb '#808890' lw 2 pt 1 ps 0.6 # floor
set linetype 2 lc rgb '#d9822b' lw 2 pt 5 ps 0.6 # 02
set linetype 3 lc rgb '#d0505f' lw 2 pt 9 ps 0.7 # 03
set linetype 4 lc rgb '#3f8fd2' lw 2 pt 7 ps 0.6 # 04
set linetype 5 lc rgb '#3a9e62' lw 2 pt 13 ps 0.8 # 05
set linetype 6 lc rgb '#9a6fd0' lw 2 pt 11 ps 0.7 # 06
set linetype 7 lc rgb '#b09020' lw 2 pt 15 ps 0.6 # 05, another backend

floor_name = tr('floor', '下限')
connections = tr('connections, ten of them active', '连接数，其中十个活跃')
cpu = tr('CPU time per line, µs', '每行的 CPU 时间（微秒）')

# ---- processes: what a connection costs
set output out.'processes.svg'
set multiplot layout 1,2
unset key
set yrange [0:*]
set xtics rotate by 0
set title tr('CPU time per connection, µs', '每个连接的 CPU 时间（微秒）')
plot bars('churn', '4', 'cpu_us_per_line', 'floor;02;03;04;05;06') using 0:2:xtic(1) with boxes lt 2, \
     '' using 0:3:(0):($4 - $3) with vectors nohead lt 1
set title tr('memory per idle connection, KiB', '每个空闲连接的内存（KiB）')
plot bars('memory', '1000', 'pss_kib_per_connection', '02;03;04;05;06') using 0:2:xtic(1) with boxes lt 4, \
     '' using 0:3:(0):($4 - $3) with vectors nohead lt 1
unset multiplot

# ---- polling: system calls per line
set output out.'polling.svg'
set key top left
set title tr('one connection speaks, the others are silent', '一个连接说话，其余的不说')
set xlabel tr('connections', '连接数') textcolor rgb grey
set ylabel tr('system calls per line', '每行的系统调用次数') textcolor rgb grey
set logscale xy
set yrange [1:*]
set xrange [0.8:1300]
plot rows('calls', '03', 'calls_per_line') using 1:2:3:4 with yerrorlines lt 3 title tr('03 polling', '03 轮询'), \
     rows('calls', '06', 'calls_per_line') using 1:2:3:4 with yerrorlines lt 6 title '06 bufferevents', \
     rows('calls', '04', 'calls_per_line') using 1:2:3:4 with yerrorlines lt 4 title '04 select()', \
     rows('calls', '05', 'calls_per_line') using 1:2:3:4 with yerrorlines lt 5 dt 2 title tr('05 events', '05 事件')

# ---- select: against the number of connections
set output out.'select.svg'
set multiplot layout 1,2
set xrange [8:1300]
set xlabel connections textcolor rgb grey
set yrange [*:*]
do for [panel = 1:2] {
    figure = panel == 1 ? 'cpu_us_per_line' : 'p50_us'
    set title panel == 1 ? cpu : tr('median latency, µs', '延迟的中位数（微秒）')
    set ylabel ''
    plot rows('connections', '03', figure) using 1:2:3:4 with yerrorlines lt 3 title tr('03 polling', '03 轮询'), \
         rows('connections', '04', figure) using 1:2:3:4 with yerrorlines lt 4 title '04 select()', \
         rows('connections', '05', figure) using 1:2:3:4 with yerrorlines lt 5 title '05 epoll', \
         rows('connections', 'floor', figure) using 1:2 with lines lt 1 dt 2 title floor_name
}
unset multiplot

# ---- backends: one program, every way to wait
set output out.'backends.svg'
set xrange [8:13000]
set title tr('stage 05, one program', '阶段 05，同一个程序')
set ylabel cpu textcolor rgb grey
plot rows('connections', '05 poll', 'cpu_us_per_line') using 1:2:3:4 with yerrorlines lt 7 title 'poll', \
     rows('connections', '05 select', 'cpu_us_per_line') using 1:2:3:4 with yerrorlines lt 4 title 'select', \
     rows('connections', '05', 'cpu_us_per_line') using 1:2:3:4 with yerrorlines lt 5 title 'epoll', \
     rows('connections', 'floor', 'cpu_us_per_line') using 1:2 with lines lt 1 dt 2 title floor_name

# ---- bufferevents: beside stage 05 and the floor
set output out.'bufferevents.svg'
unset logscale
set xlabel ''
set ylabel ''
unset key
set xrange [*:*]
set yrange [0:*]
set multiplot layout 1,3
set title tr('100 active: µs per line', '100 个活跃连接：微秒/行')
plot bars('hundred', '100', 'cpu_us_per_line', 'floor;04;05;06') using 0:2:xtic(1) with boxes lt 6, \
     '' using 0:3:(0):($4 - $3) with vectors nohead lt 1
set title tr('100 active: calls per line', '100 个活跃连接：调用/行')
plot bars('callsbusy', '100', 'calls_per_line', 'floor;04;05;06') using 0:2:xtic(1) with boxes lt 6, \
     '' using 0:3:(0):($4 - $3) with vectors nohead lt 1
set title tr('streamed: µs per line', '连续发送：微秒/行')
plot bars('stream', '1', 'cpu_us_per_line', 'floor;04;05;06') using 0:2:xtic(1) with boxes lt 6, \
     '' using 0:3:(0):($4 - $3) with vectors nohead lt 1
unset multiplot

# ---- readsize
set output out.'readsize.svg'
set logscale xy
set xrange [0.8:100000]
set yrange [*:*]
set xlabel tr('bytes asked for in one recv()', '一次 recv() 请求的字节数') textcolor rgb grey
set title tr('stage 02, 64-byte lines streamed on one connection', '阶段 02，一个连接连续发送 64 字节的行')
set ylabel cpu textcolor rgb grey
plot "< awk -F, '$1 == \"readsize\" && $4 == \"cpu_us_per_line\" { print $2, $7, $8, $9 }' ".summary \
    using 1:2:3:4 with yerrorlines lt 2

# ---- others: the same load
set output out.'others.svg'
unset logscale x
set xlabel ''
set ylabel ''
set xrange [*:*]
set multiplot layout 1,2
all = 'floor;02;04;05;06;socat;python;node'
set xtics rotate by -35
set title tr('100 active: CPU time per line, µs', '100 个活跃连接：每行的 CPU 时间（微秒）')
plot bars('hundred', '100', 'cpu_us_per_line', all) using 0:2:xtic(1) with boxes lt 4, \
     '' using 0:3:(0):($4 - $3) with vectors nohead lt 1
set title tr('streamed: CPU time per line, µs', '连续发送：每行的 CPU 时间（微秒）')
plot bars('stream', '1', 'cpu_us_per_line', all) using 0:2:xtic(1) with boxes lt 4, \
     '' using 0:3:(0):($4 - $3) with vectors nohead lt 1
unset multiplot

# ---- omission: two ways to ask a server that stalls
set output out.'omission.svg'
unset multiplot
unset logscale
set logscale y
set xtics rotate by 0
set key top left
set xrange [-0.5:4.5]
set yrange [10:*]
set title tr('a server that stands still for a tenth of the time', '一个有十分之一的时间停住的服务器')
set ylabel tr('latency, µs', '延迟（微秒）') textcolor rgb grey
omission(x) = sprintf( \
    "< awk -F, 'BEGIN { n = split(\"p50 p90 p99 p999 max\", name, \" \") } ".\
    "$1 == \"omission\" && $2 == \"%s\" { v[$4] = $7 \" \" $8 \" \" $9 } ".\
    "END { for (i = 1; i <= n; ++i) print i - 1, name[i] == \"p999\" ? \"p99.9\" : name[i], v[name[i] \"_us\"] }' %s", \
    x, summary)
plot omission('open') using 1:3:4:5:xtic(2) with yerrorlines lt 4 title tr('2000 lines/s, when due (open loop)', '每秒 2000 行，按时发送（开环）'), \
     omission('closed') using 1:3:4:5 with yerrorlines lt 2 title tr('the next line after the answer (closed loop)', '得到回答再发下一行（闭环）')
