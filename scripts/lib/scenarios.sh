# The scenarios, by name. To be sourced. One list, so that every script means the same by a name.

# Lines of "NAME: arguments of ringmq-loadgen", without times, core and target. "basic" names the basic set of the Open
# MQTT Benchmark Suite; its clients connect faster here, or each run would begin with minutes of connecting.
scenarios() {
    cat <<'LIST'
p2p-q0-w16: p2p --pairs 100 --qos 0 --window 16
p2p-q1-w16: p2p --pairs 100 --qos 1 --window 16
p2p-q2-w16: p2p --pairs 100 --qos 2 --window 16
p2p-q0-16B-w16: p2p --pairs 100 --qos 0 --size 16 --window 16
p2p-q0-256B-w16: p2p --pairs 100 --qos 0 --size 256 --window 16
p2p-q1-256B-w16: p2p --pairs 100 --qos 1 --size 256 --window 16
p2p-q0-w1: p2p --pairs 100 --qos 0 --window 1
p2p-q1-w1: p2p --pairs 100 --qos 1 --window 1
p2p-q2-w1: p2p --pairs 100 --qos 2 --window 1
p2p1K-q0-w16: p2p --pairs 1000 --qos 0 --window 16
p2p1K-q1-w16: p2p --pairs 1000 --qos 1 --window 16
p2p1K-q0-w1: p2p --pairs 1000 --qos 0 --window 1
p2p-64K-w1: p2p --pairs 20 --qos 0 --size 65536 --window 1
p2p-1M-w1: p2p --pairs 20 --qos 0 --size 1000000 --window 1
p2p-q0-10k: p2p --pairs 100 --qos 0 --rate 10000
p2p-q1-10k: p2p --pairs 100 --qos 1 --rate 10000
p2p-q0-50k: p2p --pairs 100 --qos 0 --rate 50000
p2p-q1-50k: p2p --pairs 100 --qos 1 --rate 50000
fanin-q0-w4: fanin --publishers 500 --subscribers 5 --qos 0 --window 4
fanin-q1-w4: fanin --publishers 500 --subscribers 5 --qos 1 --window 4
share-q1-w4: fanin --publishers 500 --subscribers 5 --share workers --qos 1 --window 4
fanout-q0-w8: fanout --publishers 1 --subscribers 1000 --qos 0 --window 8
fanout-q1-w8: fanout --publishers 1 --subscribers 1000 --qos 1 --window 8
fanout-q0-w1: fanout --publishers 1 --subscribers 1000 --qos 0 --window 1
fanout5-q0-w8: fanout --publishers 5 --subscribers 1000 --qos 0 --window 8
conn: conn --clients 5000
basic-conn-10K: run conn-tcp-10K-100 --connect-rate 5000
basic-p2p-1K: run p2p-1K-1K-1K-1K
basic-fanout-1K: run fanout-1-1K-1-1K
basic-sharedsub-1K: run sharedsub-1K-5-1K-1K
LIST
}

# has_messages NAME: whether messages flow in a scenario, or only connections are made.
has_messages() { [[ $1 != *conn* ]]; }

# set_times NAME SECONDS: sets `times` to the generator's arguments that say how long a scenario warms up and is measured.
set_times() {
    times=(--duration "${2}s")
    ! has_messages "$1" || times+=(--warmup 1s)
}
