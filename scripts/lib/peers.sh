# Other brokers: where they are, and with what configuration they run. To be sourced by servers.sh.
#
# Each is configured so that no limit distorts a closed loop: windows and queues as large as it allows, because a message
# that is dropped would end the loop; one worker thread where that can be told, for all run on one core; no persistence,
# no log of messages. Everything else is as delivered.

# Paths given by the caller, by name; otherwise PATH is searched.
declare -gA PEER_PATHS

# The names, in the order of reports.
PEERS=(mosquitto flashmq nanomq rumqttd rmqttd emqx)

is_peer() { [[ " ${PEERS[*]} " == *" $1 "* ]]; }

# peer_path NAME: prints its program; returns 1 if there is none.
peer_path() {
    if [ -n "${PEER_PATHS[$1]:-}" ]; then echo "${PEER_PATHS[$1]}"; else PATH=$PATH:/usr/sbin command -v "$1"; fi
}

# peer_about NAME: its version, and what of its configuration is not the default, in one line.
peer_about() {
    local program version
    program=$(peer_path "$1") || return 1
    case $1 in
    mosquitto) version=$("$program" -h 2>&1 | head -1) || true ;;
    nanomq) version=$("$program" --version 2>&1 | head -1) || true ;;
    emqx) version=$("$program" ctl version 2>/dev/null || echo unknown) ;;
    *) version=$(timeout 5 "$program" --version 2>&1 | head -1) || true ;;
    esac
    printf '%s; ' "${version:-version unknown}"
    case $1 in
    mosquitto) echo "set_tcp_nodelay true, max_inflight_messages 0, max_queued_messages 0, persistence false" ;;
    flashmq) echo "thread_count 1, max_qos_msg_pending_per_client 65535, max_qos_bytes_pending_per_client 1 GiB" ;;
    nanomq) echo "max_inflight_window 65535, max_mqueue_len 1000000, 1 task queue thread" ;;
    rumqttd) echo "max_inflight_count 65535, max_outgoing_packet_count 10000" ;;
    rmqttd) echo "max_inflight 65535, max_mqueue_len 1000000, limits of connecting raised" ;;
    emqx) echo "max_inflight 65535, max_mqueue_len infinity, 1 scheduler" ;;
    esac
}

# peer_command NAME CORE: writes its configuration; sets SERVER_PORT, SERVER_BINARY and the caller's `command`.
peer_command() {
    local name=$1 core=$2 file=$SCRATCH/$1.conf
    SERVER_BINARY=$(peer_path "$name") || { echo "$name is not on PATH" >&2; return 1; }
    SERVER_PORT=$((20000 + RANDOM % 10000))
    command=(taskset -c "$core")
    # These two tell a file's format by its name.
    [[ $name != rumqttd && $name != rmqttd ]] || file=$SCRATCH/$name.toml
    case $name in
    mosquitto)
        printf '%s\n' "listener $SERVER_PORT 127.0.0.1" "allow_anonymous true" "set_tcp_nodelay true" \
            "max_inflight_messages 0" "max_queued_messages 0" "persistence false" >"$file"
        command+=("$SERVER_BINARY" -c "$file")
        ;;
    flashmq)
        printf '%s\n' "allow_anonymous true" "thread_count 1" "log_file $SCRATCH/flashmq.messages" "log_level none" \
            "max_qos_msg_pending_per_client 65535" "max_qos_bytes_pending_per_client 1073741824" \
            "listen {" "  protocol mqtt" "  port $SERVER_PORT" "  inet4_bind_address 127.0.0.1" "  inet_protocol ip4" "}" >"$file"
        command+=("$SERVER_BINARY" --config-file "$file")
        ;;
    nanomq)
        printf '%s\n' "system { num_taskq_thread = 1, max_taskq_thread = 1 }" \
            "mqtt { max_inflight_window = 65535, max_mqueue_len = 1000000, retry_interval = 3600s }" \
            "listeners.tcp { bind = \"127.0.0.1:$SERVER_PORT\" }" "log { to = [console], level = error }" >"$file"
        command+=("$SERVER_BINARY" start --conf "$file")
        ;;
    rumqttd)
        printf '%s\n' "id = 0" "[router]" "id = 0" "max_connections = 20000" "max_outgoing_packet_count = 10000" \
            "max_segment_size = 104857600" "max_segment_count = 10" "[v4.1]" "name = \"v4-1\"" \
            "listen = \"127.0.0.1:$SERVER_PORT\"" "next_connection_delay_ms = 0" "[v4.1.connections]" \
            "connection_timeout_ms = 60000" "max_payload_size = 1048576" "max_inflight_count = 65535" \
            "dynamic_filters = true" >"$file"
        command+=("$SERVER_BINARY" -c "$file")
        ;;
    rmqttd)
        printf '%s\n' "task.exec_workers = 20000" "task.exec_queue_max = 1000000" "node.id = 1" "log.to = \"console\"" \
            "log.level = \"error\"" "plugins.dir = \"$SCRATCH\"" "plugins.default_startups = []" \
            "listener.tcp.external.addr = \"127.0.0.1:$SERVER_PORT\"" "listener.tcp.external.max_inflight = 65535" \
            "listener.tcp.external.max_mqueue_len = 1000000" "listener.tcp.external.max_connections = 20000" \
            "listener.tcp.external.max_handshaking_limit = 20000" "listener.tcp.external.allow_anonymous = true" >"$file"
        command+=("$SERVER_BINARY" -f "$file")
        ;;
    emqx)
        command=(env "EMQX_LISTENERS__TCP__DEFAULT__BIND=127.0.0.1:$SERVER_PORT" EMQX_MQTT__MAX_INFLIGHT=65535
            EMQX_MQTT__MAX_MQUEUE_LEN=infinity "EMQX_NODE__DATA_DIR=$SCRATCH/data" ERL_FLAGS="+S 1:1"
            "${command[@]}" "$SERVER_BINARY" foreground)
        ;;
    esac
}
