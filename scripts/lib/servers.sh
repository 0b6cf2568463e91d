# Starts and stops the servers that scenarios run against. To be sourced by a script that has set BIN (where the release
# binaries are) and SCRATCH (a directory of its own), and has a trap that calls stop_server.
#
# After start_server NAME: SERVER_PID, SERVER_PORT, SERVER_LOG, SERVER_BINARY. One server at a time.

SERVER_PID= SERVER_PORT= SERVER_LOG= SERVER_BINARY=
. "${BASH_SOURCE[0]%/*}/peers.sh"
# Seconds until a server that does not listen, or does not end, has failed.
SERVER_PATIENCE_S=15

# The names that start_server knows, one a line, with what they are.
known_servers() {
    cat <<'LIST'
ringmq         the broker, io_uring
ringmq-wide    the broker with the window of the other brokers' configurations: mqtt.max_inflight 65535
ringmq-epoll   the broker, epoll
floor          the bare forwarder, io_uring
floor-epoll    the bare forwarder, epoll
mosquitto      Eclipse Mosquitto, if on PATH
flashmq        FlashMQ, if on PATH; as those below
nanomq         NanoMQ
rumqttd        rumqttd
rmqttd         RMQTT
emqx           EMQX
LIST
}

# start_server NAME CORE [BINARY]: pinned to a core; BINARY replaces ringmq's own, for comparing versions.
start_server() {
    local name=$1 core=$2 binary=${3:-$BIN/ringmq} command
    SERVER_BINARY=$binary
    [[ $name != floor* ]] || SERVER_BINARY=$BIN/ringmq-floor
    SERVER_LOG=$SCRATCH/$name.log
    case $name in
    ringmq | ringmq-wide | ringmq-epoll)
        local driver=uring
        [ "$name" != ringmq-epoll ] || driver=epoll
        command=("$binary" --driver "$driver" --shards 1 --cores "$core" --tcp 127.0.0.1:0 --data-dir "$SCRATCH/data")
        [ "$name" != ringmq-wide ] || command+=(--set mqtt.max_inflight=65535)
        ;;
    floor) command=("$BIN/ringmq-floor" --driver uring --core "$core" --tcp 127.0.0.1:0) ;;
    floor-epoll) command=("$BIN/ringmq-floor" --driver epoll --core "$core" --tcp 127.0.0.1:0) ;;
    mosquitto | flashmq | nanomq | rumqttd | rmqttd | emqx) peer_command "$name" "$core" || return 1 ;;
    *)
        echo "unknown server $name; known are:" >&2
        known_servers >&2
        return 1
        ;;
    esac
    rm -rf "$SCRATCH/data"
    # shellcheck disable=SC3045 # bash
    : >"$SERVER_LOG"
    (ulimit -n "$(ulimit -Hn)" && exec "${command[@]}") >"$SERVER_LOG" 2>&1 &
    SERVER_PID=$!
    local waited
    for ((waited = 0; waited < SERVER_PATIENCE_S * 20; waited++)); do
        kill -0 "$SERVER_PID" 2>/dev/null || break
        if is_peer "$name"; then
            (exec 3<>"/dev/tcp/127.0.0.1/$SERVER_PORT") 2>/dev/null && return
        else
            SERVER_PORT=$(sed -nE 's/^listening on (tcp )?.*:([0-9]+)$/\2/p' "$SERVER_LOG" | head -1)
            [ -z "$SERVER_PORT" ] || return 0
        fi
        sleep 0.05
    done
    echo "$name did not start:" >&2
    cat "$SERVER_LOG" >&2
    stop_server || true
    return 1
}

# Ends the server gracefully; returns its exit status, or 124 if it had to be killed.
stop_server() {
    [ -n "$SERVER_PID" ] || return 0
    local pid=$SERVER_PID waited status=0
    SERVER_PID=
    kill -TERM "$pid" 2>/dev/null || true
    for ((waited = 0; waited < SERVER_PATIENCE_S * 20; waited++)); do
        kill -0 "$pid" 2>/dev/null || { wait "$pid" || status=$?; return "$status"; }
        sleep 0.05
    done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    return 124
}
