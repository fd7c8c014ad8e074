#!/usr/bin/env bats
# ./setup on machines made for the test: a PATH with nothing in it but what every system
# has, package managers that write down how they were called, and programs that do no more
# than ./setup asks of them. Nothing is installed and no network is needed.

# What stands in single quotes is for the shells of the programs made here.
# shellcheck disable=SC2016

bats_load_library bats-support
bats_load_library bats-assert

# What the machines are made from: their PATH (bin), and the store from which a package
# manager brings what it is asked for.
setup_file() {
    machine=$BATS_FILE_TMPDIR
    mkdir -p "$machine/bin" "$machine/usr" "$machine/tmp" "$machine/store/bin"
    for tool in sh cat env grep mktemp rm sort tr true; do
        ln -s "$(type -P "$tool")" "$machine/bin/$tool"
    done
    program bin/id 'echo 0'

    for name in cc gcc clang musl-gcc; do
        program "store/bin/$name" 'cat >/dev/null'
    done
    for name in pkg-config pgrep top ps diff cmp patch git clang-format clang-tidy cppcheck \
        shellcheck shfmt strace valgrind gnuplot socat python3 haproxy openssl ip ss xmllint; do
        program "store/bin/$name" 'exit 0'
    done
    program store/bin/make 'echo GNU Make 4.3'
    program store/bin/bats 'echo Bats 1.8.2'
    program store/bin/nc 'echo "  -N  Shutdown the network socket after EOF on stdin" >&2'
    program store/bin/busybox 'echo httpd'
    for name in bats-support bats-assert; do
        mkdir -p "$machine/store/usr/lib/bats/$name"
        : >"$machine/store/usr/lib/bats/$name/load.bash"
    done
}

# The machine of a test. The ./setup on it has /usr replaced by the machine's own.
setup() {
    machine=$BATS_TEST_TMPDIR/machine
    rm -rf "$machine"
    cp -R "$BATS_FILE_TMPDIR" "$machine"
    sed "s|/usr/|$machine/usr/|g" "$BATS_TEST_DIRNAME/../../setup" >"$machine/setup"
    bring="/bin/cp -R '$machine/store/.' '$machine'"
}

teardown() {
    # ./setup cleans up after itself, however it ended.
    run ls "$machine/tmp"
    assert_output ''
}

# program FILE COMMANDS: makes a program of the machine's.
program() {
    printf '#!/bin/sh\n%s\n' "$2" >"$machine/$1"
    chmod +x "$machine/$1"
}

# manager NAME [COMMANDS]: gives the machine this package manager, which by default brings
# everything, whatever it is asked for.
manager() {
    program "bin/$1" "echo \"$1 \$*\" >>'$machine/called'
        ${2-$bring}"
}

# apt [COMMANDS]: the same for apt, whose lists are complete.
apt() {
    manager apt-get "$@"
    program bin/apt-cache 'exit 0'
}

# Everything is there already.
complete() {
    cp -R "$machine/store/." "$machine"
}

# on_machine COMMAND...: runs it with nothing of this system's, no terminal either.
on_machine() {
    run env -i PATH="$machine/bin" TMPDIR="$machine/tmp" ${lib_path:+BATS_LIB_PATH="$lib_path"} \
        "$@" </dev/null
}

setup_script() {
    on_machine /bin/sh "$machine/setup" "$@"
}

# What the package manager was called with, line by line.
assert_called() {
    run cat "$machine/called"
    assert_output "$1"
}

refute_called() {
    assert [ ! -e "$machine/called" ]
}

apt_install='apt-get install -y --no-install-recommends'

@test "setup: does nothing when nothing is missing" {
    apt
    complete
    setup_script
    assert_success
    assert_output 'setup: nothing is missing'
    setup_script all
    assert_success
    assert_output 'setup: nothing is missing'
    refute_called
}

@test "setup: says beforehand what it installs, installs it, and looks again" {
    apt
    setup_script
    assert_success
    assert_line --index 0 'setup: missing: cc make pkg-config libevent bats bats-support bats-assert nc httpd ps ss diff'
    assert_line --index 1 "setup: will run: env DEBIAN_FRONTEND=noninteractive $apt_install gcc libc6-dev make pkg-config libevent-dev bats bats-support bats-assert netcat-openbsd busybox procps iproute2 diffutils"
    assert_line --index 2 'setup: all is there now'
    assert_called "$apt_install gcc libc6-dev make pkg-config libevent-dev bats bats-support bats-assert netcat-openbsd busybox procps iproute2 diffutils"
    setup_script
    assert_success
    assert_output 'setup: nothing is missing'
}

@test "setup: runs in dash, in busybox and in bash" {
    for shell in dash busybox bash; do
        type -P "$shell" || continue
        setup
        apt
        ln -sf "$(type -P "$shell")" "$machine/bin/sh"
        on_machine "$machine/bin/sh" "$machine/setup" all
        assert_success
        assert_line --index 2 'setup: all is there now'
        assert_equal "${#lines[@]}" 3
    done
}

@test "setup: installs only what is missing" {
    apt
    complete
    rm "$machine/bin/nc" "$machine/bin/pgrep"
    setup_script
    assert_success
    assert_called "$apt_install netcat-openbsd procps"
}

@test "setup: plain setup installs nothing of what only setup all needs" {
    apt
    complete
    rm "$machine/bin/gnuplot" "$machine/bin/clang" "$machine/bin/git"
    setup_script
    assert_success
    refute_called
    setup_script all
    assert_success
    assert_called "$apt_install git clang libclang-rt-dev gnuplot-nox"
}

@test "setup: all names each package once" {
    apt
    setup_script all
    assert_success
    assert_called "$apt_install gcc libc6-dev make pkg-config libevent-dev bats bats-support bats-assert netcat-openbsd busybox procps iproute2 diffutils patch git clang libclang-rt-dev clang-format clang-tidy cppcheck shellcheck shfmt strace valgrind libc6-dbg musl-tools gnuplot-nox socat python3 haproxy libssl-dev openssl libxml2-utils"
}

@test "setup: pacman is asked for Arch's names" {
    manager pacman
    setup_script
    assert_success
    run grep -v -e -Si "$machine/called"
    assert_output 'pacman -S --needed --noconfirm gcc make pkgconf libevent bats bats-support bats-assert openbsd-netcat busybox procps-ng iproute2 diffutils'
}

@test "setup: pacman without lists fetches them first" {
    manager pacman "if [ \$1 = -Si ]; then exit 1; fi; $bring"
    setup_script
    assert_success
    run grep -v -e -Si "$machine/called"
    assert_line --index 0 'pacman -Sy'
    assert_line --index 1 --partial 'pacman -S --needed'
}

@test "setup: apk is asked for Alpine's names" {
    manager apk
    setup_script
    assert_success
    assert_called 'apk add --no-cache gcc musl-dev make pkgconf libevent-dev bats bats-support bats-assert netcat-openbsd busybox-extras procps-ng iproute2 diffutils'
}

@test "setup: Alpine's busybox-extras counts as busybox" {
    manager apk
    complete
    mv "$machine/bin/busybox" "$machine/bin/busybox-extras"
    program bin/busybox 'echo ash'
    setup_script
    assert_success
    assert_output 'setup: nothing is missing'
}

@test "setup: dnf brings all but the bats libraries, and what to do about them is said" {
    rm -r "$machine/store/usr"
    manager dnf
    setup_script
    assert_failure 1
    assert_line 'setup: dnf has no package for: bats-support bats-assert'
    assert_line 'setup: still missing: bats-support bats-assert'
    assert_line "setup: bats-support: as root: git clone https://github.com/bats-core/bats-support $machine/usr/lib/bats/bats-support"
    assert_line "setup: bats-assert: as root: git clone https://github.com/bats-core/bats-assert $machine/usr/lib/bats/bats-assert"
    assert_called 'dnf install -y --setopt=install_weak_deps=False gcc make pkgconf-pkg-config libevent-devel bats netcat busybox procps-ng iproute diffutils'
}

@test "setup: zypper brings all but the bats libraries, and what to do about them is said" {
    rm -r "$machine/store/usr"
    manager zypper
    setup_script
    assert_failure 1
    assert_line 'setup: zypper has no package for: bats-support bats-assert'
    assert_line --partial 'git clone https://github.com/bats-core/bats-assert'
    assert_called 'zypper --non-interactive install --no-recommends gcc make pkg-config libevent-devel bats netcat-openbsd busybox procps iproute2 diffutils'
}

@test "setup: Homebrew is asked for its names, never through sudo" {
    program bin/id 'echo 1000'
    program bin/sudo "echo sudo >>'$machine/called'; exec \"\$@\""
    manager brew
    setup_script
    assert_success
    assert_line 'setup: brew has no package for: cc make nc httpd ps ss'
    assert_called 'brew install pkgconf libevent bats-core bats-core/bats-core/bats-support bats-core/bats-core/bats-assert diffutils'
}

@test "setup: without a package manager it says what is missing and to install it by hand" {
    setup_script
    assert_failure 1
    assert_line --partial 'setup: missing: cc make'
    assert_line --partial 'install these by hand'
}

@test "setup: apt's lists are fetched when they lack a package, and only then" {
    apt
    program bin/apt-cache '[ "$2" != busybox ]'
    setup_script
    assert_success
    run cat "$machine/called"
    assert_line --index 0 'apt-get update'
    assert_line --index 1 --partial "$apt_install gcc"
    assert_equal "${#lines[@]}" 2
}

@test "setup: lists so old that the install fails are fetched, and the install tried again" {
    apt "case \$1 in
        update) : >'$machine/updated' ;;
        *) [ -e '$machine/updated' ] && $bring ;;
    esac"
    complete
    rm "$machine/bin/nc"
    setup_script
    assert_success
    assert_line 'setup: that failed; once more, one package at a time'
    assert_called "$apt_install netcat-openbsd
apt-get update
$apt_install netcat-openbsd"
}

@test "setup: one package that does not exist does not keep the others away" {
    rm -r "$machine/store/usr/lib/bats/bats-assert"
    apt "case \"\$*\" in *bats-assert*) exit 100 ;; *) $bring ;; esac"
    setup_script
    assert_failure 1
    assert_line 'setup: still missing: bats-assert'
    assert_line --partial 'git clone https://github.com/bats-core/bats-assert'
    run grep -c . "$machine/called"
    assert_output 15
}

@test "setup: says what is still missing when the package manager did not bring it" {
    apt :
    complete
    rm "$machine/bin/nc"
    setup_script
    assert_failure 1
    assert_line 'setup: still missing: nc'
    assert_line "setup: nc: must be OpenBSD's, the one that has -N (nc -h tells)"
    assert_called "$apt_install netcat-openbsd"
}

@test "setup: -n only says, and runs nothing" {
    apt
    setup_script -n
    assert_success
    assert_line --partial 'setup: missing: cc make'
    assert_line --partial "$apt_install gcc"
    setup_script all -n
    assert_success
    assert_line --partial 'gnuplot-nox'
    refute_called
}

@test "setup: sudo for a user who is not root, and without a terminal no password" {
    apt
    program bin/id 'echo 1000'
    program bin/sudo "echo \"sudo \$*\" >>'$machine/called'; shift; exec \"\$@\""
    complete
    rm "$machine/bin/nc"
    setup_script
    assert_success
    assert_line "setup: will run: sudo -n env DEBIAN_FRONTEND=noninteractive $apt_install netcat-openbsd"
    assert_called "sudo -n true
sudo -n env DEBIAN_FRONTEND=noninteractive $apt_install netcat-openbsd
$apt_install netcat-openbsd"
}

@test "setup: doas where there is no sudo" {
    apt
    program bin/id 'echo 1000'
    program bin/doas 'shift; exec "$@"'
    setup_script
    assert_success
    assert_line --partial 'setup: will run: doas -n env'
}

@test "setup: root does not need sudo" {
    apt
    program bin/sudo 'exit 1'
    setup_script
    assert_success
    refute_output --partial sudo
}

@test "setup: without sudo it prints the command for root, and runs nothing" {
    apt
    program bin/id 'echo 1000'
    complete
    rm "$machine/bin/nc"
    setup_script
    assert_failure 1
    assert_line "setup: not root, and neither sudo nor doas is here; run as root: env DEBIAN_FRONTEND=noninteractive $apt_install netcat-openbsd"
    refute_called
}

@test "setup: where sudo refuses it prints the command for root, and runs nothing" {
    apt
    program bin/id 'echo 1000'
    program bin/sudo 'exit 1'
    setup_script
    assert_failure 1
    assert_line --partial "setup: could not become root; run as root: env DEBIAN_FRONTEND=noninteractive $apt_install gcc"
    refute_called
}

@test "setup: a compiler that cannot compile, another make, an old bats, another netcat, a busybox without httpd do not count" {
    apt
    complete
    program bin/cc 'exit 1'
    program bin/make 'exit 1'
    program bin/bats 'echo Bats 1.7.0'
    program bin/nc 'echo "-n Suppress name/port resolutions -N num_probes Number of probes" >&2'
    program bin/busybox 'echo ash'
    setup_script -n
    assert_success
    assert_line 'setup: missing: cc make bats nc httpd'
}

@test "setup: bats 1.8, 1.13 and 2.0 are new enough" {
    complete
    for version in 1.13.0 1.8.0 2.0; do
        program bin/bats "echo Bats $version"
        setup_script
        assert_success
    done
}

@test "setup: clang without its sanitizers, a valgrind that cannot run, a gnuplot without SVG do not count" {
    apt
    complete
    program bin/clang 'case "$*" in *sanitize=address,undefined*) exit 1 ;; esac'
    program bin/valgrind 'exit 1'
    program bin/gnuplot 'exit 1'
    setup_script all -n
    assert_success
    assert_line 'setup: missing: clang valgrind gnuplot'
}

@test "setup: where the system's own compiler is for musl, musl-gcc is not missing" {
    complete
    rm "$machine/bin/musl-gcc"
    setup_script all
    assert_failure
    program bin/cc 'echo x86_64-alpine-linux-musl'
    setup_script all
    assert_success
}

@test "setup: bats libraries count wherever the tests find them" {
    complete
    mkdir "$machine/usr/local"
    mv "$machine/usr/lib/bats" "$machine/usr/lib/node_modules"
    setup_script
    assert_success
    mv "$machine/usr/lib/node_modules" "$machine/usr/local/lib"
    setup_script
    assert_success
    mv "$machine/usr/local/lib" "$machine/usr/mine"
    setup_script
    assert_failure 1
    lib_path=/nowhere:$machine/usr/mine
    setup_script
    assert_success
}

@test "setup: a libevent that pkg-config finds but no program can be linked with does not count" {
    apt
    complete
    program bin/pkg-config 'case $1 in --cflags) echo -levent ;; esac'
    program bin/cc 'case "$*" in *-levent*) exit 1 ;; esac'
    setup_script -n
    assert_line 'setup: missing: libevent'
}

@test "setup: a libevent built by hand counts, and is asked for once pkg-config is there" {
    apt
    complete
    rm "$machine/bin/pkg-config"
    mkdir -p "$machine/usr/local/include/event2"
    : >"$machine/usr/local/include/event2/event.h"
    setup_script
    assert_success
    assert_called "$apt_install pkg-config"
}

@test "setup: a header that pkg-config then knows nothing of brings libevent in a second round" {
    complete
    rm "$machine/bin/pkg-config"
    program bin/apt-cache 'exit 0'
    manager apt-get "case \"\$*\" in
        *libevent-dev) : >'$machine/libevent' ;;
        *pkg-config) $bring ;;
    esac"
    program store/bin/pkg-config "[ -e '$machine/libevent' ]"
    mkdir -p "$machine/usr/include/event2"
    : >"$machine/usr/include/event2/event.h"
    setup_script
    assert_success
    assert_called "$apt_install pkg-config
$apt_install libevent-dev"
}

# on_terminal ANSWER: the same with somebody at a terminal.
on_terminal() {
    script -qec true /dev/null </dev/null >/dev/null 2>&1 || skip 'needs script(1) and a pseudo-terminal'
    run env -i PATH="$machine/bin" TMPDIR="$machine/tmp" \
        "$(type -P script)" -qec "sh $machine/setup" /dev/null <<<"$1"
}

@test "setup: on a terminal it asks, and no means no" {
    apt
    program bin/id 'echo 1000'
    program bin/sudo 'exit 1'
    on_terminal n
    assert_output --partial 'go on? [Y/n]'
    assert_output --partial 'setup: will run: sudo env'
    assert_output --partial 'setup: nothing was done'
    assert_failure 1
    refute_called
}

@test "setup: on a terminal it asks once, and yes means yes" {
    complete
    rm "$machine/bin/pkg-config"
    program bin/apt-cache 'exit 0'
    manager apt-get "case \"\$*\" in
        *libevent-dev) : >'$machine/libevent' ;;
        *pkg-config) $bring ;;
    esac"
    program store/bin/pkg-config "[ -e '$machine/libevent' ]"
    mkdir -p "$machine/usr/include/event2"
    : >"$machine/usr/include/event2/event.h"
    on_terminal y
    assert_success
    assert_equal "$(grep -o 'go on?' <<<"$output" | wc -l)" 1
    assert_output --partial 'setup: all is there now'
}

@test "setup: without a terminal it asks nothing, and the package manager neither" {
    apt "if read -r line; then exit 1; fi; $bring"
    run env -i PATH="$machine/bin" TMPDIR="$machine/tmp" /bin/sh "$machine/setup" <<<n
    assert_success
    refute_output --partial 'go on?'
    refute_output --partial 'that failed'
}

@test "setup: --help tells both ways to call it" {
    setup_script --help
    assert_success
    assert_line --index 0 'usage: ./setup [-n] [all]'
    assert_output --partial 'clang'
}

@test "setup: any other argument is one line and exit status 2" {
    apt
    setup_script everything
    assert_failure 2
    assert_output 'setup: everything: no such argument; ./setup --help says which there are'
    refute_called
}
