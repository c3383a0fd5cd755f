# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with docker/demo
# The demo's four nodes as processes on 127.0.0.1. Read by docker/demo.

pids=() # by node, the directory first

network_prepare() {
    refuse_taken_ports
    # Short: the path of a control socket may have 107 characters, and a checkout may be deep.
    scratch=$(mktemp -d /tmp/p2p-demo.XXXXXX) || fail "cannot make a temporary folder"
    bin=${P2P_DEMO_BIN:-}
    [ -n "$bin" ] || build
    if [ ! -x "$bin/p2p-directory" ] || [ ! -x "$bin/p2p-peer" ]; then
        fail "no p2p-directory and p2p-peer in $bin"
    fi
    bin=$(cd "$bin" && pwd)
}

build() {
    "$top/docker/install-packages" build || fail "the packages to build with are missing"
    note "Building. This takes minutes the first time; $scratch/build.log tells more."
    attend env -C "$top" sh -c "cmake --preset release && cmake --build --preset release" >"$scratch/build.log" 2>&1 || {
        tail -n 30 "$scratch/build.log" >&2
        fail "the build failed"
    }
    bin=$top/build/release/bin
}

# The containers' configuration with this machine's addresses and folders.
write_peer_config() {
    local peer=$1 text folder=$data/dataPeer$1 n
    text=$(<"$top/docker/peers/p$peer.json")
    text=${text//"172.28.0.2:8000"/"127.0.0.1:$base_port"}
    for n in 1 2 3; do
        text=${text//"172.28.0.$((n + 2)):800$n"/"127.0.0.1:$((base_port + n))"}
    done
    text=${text/"\"172.28.0.$((peer + 2))\""/"\"127.0.0.1\""}
    text=${text/"\"port\": 800$peer"/"\"port\": $((base_port + peer))"}
    folder=${folder//\\/\\\\}
    text=${text/'"/data"'/"\"${folder//\"/\\\"}\""}
    text=${text//'"/run/p2p/peer'/"\"$scratch/p$peer"}
    printf '%s\n' "$text" >"$scratch/p$peer.json"
}

# start_node NODE COMMAND...; in a session of its own, so that Ctrl-C in the menu does not reach it.
start_node() {
    local node=$1
    shift
    setsid "$@" </dev/null >"$scratch/$(node_name "$node").log" 2>&1 &
    pids[node]=$!
    disown # bash would report its end on the terminal
}

network_start() {
    local peer state=$scratch/state
    [ "$mode" = check ] || state=$top/data/state
    mkdir -p "$state" || return 1
    PATH=$bin:$PATH start_node 0 "$top/docker/start-directory" "$state" \
        --listen "127.0.0.1:$base_port" --expiry "$expiry"
    for peer in 1 2 3; do
        write_peer_config "$peer"
        start_node "$peer" "$bin/p2p-peer" run --config "$scratch/p$peer.json"
    done
    wait_until 30 nodes_ready
}

nodes_ready() {
    local peer command
    directory_answers || return 1
    for peer in 1 2 3; do
        peer_command "$peer"
        "${command[@]}" status >/dev/null 2>&1 || return 1
    done
}

# Sets the array `command`: the p2p-peer of peer $1, to which a subcommand is to be appended.
peer_command() {
    command=(env "PEER_CONFIG=$scratch/p$1.json" "$bin/p2p-peer")
}

peer_kill() {
    kill -KILL "${pids[$1]}"
    wait_until 5 all_ended "${pids[$1]}" || return 1
    unset "pids[$1]"
}

node_runs() {
    kill -0 "${pids[$1]}" 2>/dev/null
}

network_hints() {
    note "In another terminal: PEER_CONFIG=$scratch/p2.json ${bin#"$PWD/"}/p2p-peer status"
}

network_logs() {
    local node
    for node in 0 1 2 3; do
        note "--- $(node_name "$node")"
        tail -n 20 "$scratch/$(node_name "$node").log" 2>/dev/null
    done >&2
}

network_stop() {
    [ ${#pids[@]} -eq 0 ] || end_processes "${pids[@]}"
}
