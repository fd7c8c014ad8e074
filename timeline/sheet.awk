# sheet.awk: puts pictures of draw.awk under each other, with one legend, at the top.
#
#   awk -f sheet.awk PICTURE.svg... >sheet.svg

BEGIN {
    LEGEND = 66 # height of the legend
}

FNR == 1 {
    n++
    match($0, /width="[0-9]+"/)
    w = substr($0, RSTART + 7, RLENGTH - 8) + 0
    match($0, /height="[0-9]+"/)
    h = substr($0, RSTART + 8, RLENGTH - 9) - LEGEND
    if (w > width)
        width = w
    root = $0
    sub(/width="[0-9]+" height="[0-9]+" viewBox="[^"]*"/, \
        "y=\"" LEGEND + 8 + height "\" width=\"" w "\" height=\"" h "\"", root)
    body = body root "\n"
    height += h
    if (n == 1)
        legend_y = h
    match($0, /lang="[^"]*"/)
    lang = substr($0, RSTART, RLENGTH)
    next
}

/^<style>/ { in_style = 1 }
/^<g class="legend">/ { in_legend = 1 }
/^<title/ && n { titles = titles (n == 1 ? "" : "; ") inner($0) }

{
    if (in_style)
        style = n == 1 ? style $0 "\n" : style
    else if (in_legend)
        legend = n == 1 ? legend $0 "\n" : legend
    else
        body = body $0 "\n"
}

/^<\/style>/ { in_style = 0 }
/^<\/g>/ { in_legend = 0 }

function inner(s) {
    gsub(/<[^>]*>/, "", s)
    return s
}

END {
    if (!n) {
        print "timeline: no pictures to put on a sheet" | "cat >&2"
        exit 1
    }
    height += LEGEND + 8
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" " \
        "viewBox=\"0 0 %d %d\" %s role=\"img\" aria-labelledby=\"sheet-t\">\n", \
        width, height, width, height, lang
    printf "<title id=\"sheet-t\">%s</title>\n%s", titles, style
    printf "<rect class=\"bg\" width=\"%d\" height=\"%d\"/>\n", width, height
    printf "<svg y=\"8\" width=\"%d\" height=\"%d\" viewBox=\"0 %d %d %d\">\n%s</svg>\n", \
        width, LEGEND, legend_y, width, LEGEND, legend
    printf "%s</svg>\n", body
}
