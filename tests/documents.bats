# The documents: the two languages say the same, and every link leads somewhere.

bats_load_library bats-support
bats_load_library bats-assert

TOP=$BATS_TEST_DIRNAME/..

all_documents() { # from the top
    (cd "$TOP" && find . -name '*.md' -not -path './.*' | sed 's|^\./||' | sort)
}

is_chinese() { grep -e '\.zh-CN\.md$' -e '^docs/zh-CN/' "$@"; }

documents() { # the English ones
    all_documents | is_chinese -v
}

twin() { # DOCUMENT: its Chinese twin
    case $1 in
        docs/*) echo "docs/zh-CN/${1#docs/}" ;;
        *) echo "${1%.md}.zh-CN.md" ;;
    esac
}

headings() { # DOCUMENT: their levels, in order
    awk '/^```/ { code = !code } !code && /^#+ / { print length($1) }' "$1"
}

code() { # DOCUMENT: what stands in fenced blocks
    awk '/^ *```/ { code = !code; print; next } code' "$1"
}

links() { # DOCUMENT: what its relative links lead to
    awk '/^ *```/ { code = !code } !code' "$1" |
        grep -oE '\]\([^)]+\)|(src|srcset|href)="[^"]+"' |
        sed -e 's/^](//' -e 's/)$//' -e 's/^[a-z]*="//' -e 's/"$//' -e 's/ .*//' |
        grep -vE '^(https?:|mailto:)' || true
}

@test "documents: every one is there in Chinese too, and the other way round" {
    local document
    for document in $(documents); do
        [ -f "$TOP/$(twin "$document")" ] || fail "$document has no $(twin "$document")"
    done
    assert_equal "$(all_documents | is_chinese | wc -l)" "$(documents | wc -l)"
}

@test "documents: the two languages have the same headings" {
    local document
    for document in $(documents); do
        diff <(headings "$TOP/$document") <(headings "$TOP/$(twin "$document")") ||
            fail "$document and its twin differ in their headings' levels"
    done
}

@test "documents: the two languages have the same commands and outputs" {
    local document
    for document in $(documents); do
        diff <(code "$TOP/$document") <(code "$TOP/$(twin "$document")") ||
            fail "$document and its twin differ in their code blocks"
    done
}

@test "documents: the lines of code are those that bench/lines counts" {
    "$TOP/bench/lines" >"$BATS_TEST_TMPDIR/lines"
    run grep -cFxf "$BATS_TEST_TMPDIR/lines" "$TOP/docs/efficiency.md"
    assert_equal "$output" "$(wc -l <"$BATS_TEST_TMPDIR/lines")"
}

@test "documents: every relative link leads somewhere" {
    local document target anchor
    for document in $(all_documents); do
        cd "$TOP/$(dirname "$document")"
        links "${document##*/}" >"$BATS_TEST_TMPDIR/links"
        sed -e 's/#.*//' -e '/^$/d' "$BATS_TEST_TMPDIR/links" | sort -u | xargs -r ls -d >/dev/null ||
            fail "$document has a link that leads nowhere"
        # An anchor that is set by hand; those of headings are the renderer's.
        while IFS='#' read -r target anchor; do
            grep -q "id=\"$anchor\"" "${target:-${document##*/}}" ||
                fail "$document: $target#$anchor: no such place"
        done < <(grep -E '#(rule-|[A-Z][0-9])' "$BATS_TEST_TMPDIR/links" | sort -u)
    done
}

@test "documents: a Chinese one is in Chinese" {
    local document
    for document in $(documents); do
        # Characters of the block U+4E00 to U+9FFF begin with the bytes E4 to E9.
        [ "$(LC_ALL=C grep -c "$(printf '[\344-\351]')" "$TOP/$(twin "$document")")" -gt 5 ] ||
            fail "$(twin "$document") has hardly a Chinese line"
    done
}
