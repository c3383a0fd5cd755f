# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with docker/demo
# The demo's four nodes as containers. Read by docker/demo.

compose=()
started= # yes: by this run; no: they were there before

# Succeeds and says what is missing if containers cannot be used.
engine_missing() {
    if ! command -v docker >/dev/null; then
        echo "there is no docker command"
    elif ! timeout 20 docker info >/dev/null 2>&1; then
        echo "no Docker engine is reachable (docker info tells why)"
    elif ! find_compose; then
        echo "the Docker engine has neither docker-compose nor the compose plugin"
    else
        return 1
    fi
}

find_compose() {
    if docker compose version >/dev/null 2>&1; then
        compose=(docker compose)
    elif docker-compose version >/dev/null 2>&1; then
        compose=(docker-compose)
    else
        return 1
    fi
}

run_compose() {
    "${compose[@]}" -f "$top/docker-compose.yml" "$@"
}

any_container() {
    docker container inspect servidor >/dev/null 2>&1 || docker container inspect p1 >/dev/null 2>&1 ||
        docker container inspect p2 >/dev/null 2>&1 || docker container inspect p3 >/dev/null 2>&1
}

network_prepare() {
    find_compose
    # Below the checkout: an engine in a virtual machine or a sandbox may not see /tmp.
    mkdir -p "$top/build"
    scratch=$(mktemp -d "$top/build/demo.XXXXXX") || fail "cannot make a temporary folder"
    P2P_DEMO_PORT_SERVIDOR=$base_port P2P_DEMO_EXPIRY=$expiry
    P2P_DEMO_PORT_P1=$((base_port + 1)) P2P_DEMO_PORT_P2=$((base_port + 2)) P2P_DEMO_PORT_P3=$((base_port + 3))
    export P2P_DEMO_PORT_SERVIDOR P2P_DEMO_PORT_P1 P2P_DEMO_PORT_P2 P2P_DEMO_PORT_P3 P2P_DEMO_EXPIRY
    if [ "$mode" = check ]; then
        # A project of its own: an index of its own, too, which may be thrown away afterwards.
        export COMPOSE_PROJECT_NAME=p2p-demo-check
    fi
}

network_start() {
    local log=$scratch/build.log
    if any_container; then
        [ "$mode" = menu ] || fail "there are containers named servidor, p1, p2 or p3 already, perhaps of a running demo." \
            "Remove them first: ${compose[*]} down"
        started=no
    else
        refuse_taken_ports
        started=yes
    fi
    export P2P_DEMO_DATA=$data
    note "Building the image and starting the containers. This takes minutes the first time; ${log#"$PWD/"} tells more."
    attend "${compose[@]}" -f "$top/docker-compose.yml" up --build -d >"$log" 2>&1 || {
        tail -n 30 "$log" >&2
        note "The containers did not start. Without Docker: docker/demo --local" >&2
        return 1
    }
    wait_until 90 nodes_healthy
}

nodes_healthy() {
    local states
    states=$(docker inspect -f '{{.State.Health.Status}}' servidor p1 p2 p3 2>/dev/null | tr '\n' ' ')
    [ "$states" = "healthy healthy healthy healthy " ]
}

# Sets the array `command`: the p2p-peer of peer $1, to which a subcommand is to be appended.
peer_command() {
    command=(docker exec -i "p$1" p2p-peer)
}

peer_kill() {
    docker kill "p$1" >/dev/null
}

node_runs() {
    [ "$(docker inspect -f '{{.State.Running}}' "$(node_name "$1")" 2>/dev/null)" = true ]
}

network_hints() {
    note "In another terminal: docker exec -it p2 p2p-peer menu"
}

network_logs() {
    run_compose ps >&2
    run_compose logs --no-color --tail 20 >&2
}

network_stop() {
    if [ -z "$started" ]; then
        return 0
    elif [ "$started" = no ]; then
        note "The containers were there before and go on. To end them: ${compose[*]} down"
    elif [ "$mode" = check ]; then
        run_compose down --volumes >/dev/null 2>&1
    else
        note "Ending the containers..."
        run_compose down >/dev/null 2>&1
    fi
}
