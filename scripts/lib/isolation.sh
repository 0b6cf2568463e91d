# Runs a script in a network namespace of its own, under congestion control reno. To be sourced.
#
# The usual default, bbr, paces loopback and distorts every figure. A namespace needs no clean-up: the kernel removes it
# with its last process.

# isolate SCRIPT ARGUMENTS...: starts the script again in a namespace and does not return; returns where that is not
# possible, or where the script is in one already.
isolate() {
    [ -z "${NETWORK_ISOLATED:-}" ] || return 0
    local rights prepare='ip link set lo up && echo reno >/proc/sys/net/ipv4/tcp_congestion_control && exec "$@"'
    need ip iproute2 || true
    for rights in "" --map-root-user; do
        # shellcheck disable=SC2086 # no argument if empty
        if unshare --net $rights sh -c "$prepare" sh true 2>/dev/null; then
            NETWORK_ISOLATED=yes exec unshare --net $rights sh -c "$prepare" sh "$@"
        fi
    done
    echo "WARNING: no network namespace can be made here (root is needed), so congestion control stays" \
        "$(cat /proc/sys/net/ipv4/tcp_congestion_control); under bbr the figures are distorted" >&2
}
