# Installs what a script needs and this machine lacks. To be sourced. Absent: anything that is not asked for by name.

# Runs apt-get with the rights there are; fails without them.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# need COMMAND DEBIAN_PACKAGE: makes sure that a command exists; returns 1 and says so if it cannot be had.
need() {
    PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null && return
    echo "installing $2 for $1" >&2
    if command -v apt-get >/dev/null; then
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$2" >/dev/null 2>&1 ||
            { as_root apt-get -qq update >/dev/null 2>&1 &&
              as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$2" >/dev/null; } || true
    fi
    PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null || { echo "MISSING: $1 (Debian package $2) could not be installed" >&2; return 1; }
}

# The Rust toolchain cannot be had from a package manager in the version needed.
need_cargo() {
    command -v cargo >/dev/null && need cc gcc && return
    echo "MISSING: cargo; install Rust from https://rustup.rs" >&2
    return 1
}
