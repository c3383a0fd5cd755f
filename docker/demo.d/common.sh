# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with docker/demo
# What both ways of the demo share. Read by docker/demo.

note() {
    printf '%s\n' "$*"
}

fail() {
    printf 'docker/demo: %s\n' "$*" >&2
    exit 1
}

fail_with_logs() {
    network_logs
    fail "$@"
}

# is_number TEXT LOWEST HIGHEST
is_number() {
    case $1 in
    '' | *[!0-9]* | ??????*) return 1 ;;
    esac
    [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]
}

# The name of node N: 0 is the directory.
node_name() {
    if [ "$1" -eq 0 ]; then echo servidor; else echo "p$1"; fi
}

port_taken() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

refuse_taken_ports() {
    local node port
    for node in 0 1 2 3; do
        port=$((base_port + node))
        if port_taken "$port"; then
            fail "port $port of this machine is taken, and $(node_name "$node") needs it. End what uses it" \
                "(ss -ltnp 'sport = :$port' tells), or take other ports: P2P_DEMO_PORT=18000 docker/demo"
        fi
    done
}

# Prints the body of the directory's answer to GET $1; succeeds on status 200 only. HTTP/1.0, so that the body ends with the
# connection and bash is all the client that is needed.
http_get() {
    local answer
    answer=$(
        exec 2>/dev/null
        exec 3<>"/dev/tcp/127.0.0.1/$base_port" || exit 1
        printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$1" >&3
        timeout 5 cat <&3
    ) || return 1
    printf '%s\n' "${answer#*$'\r\n\r\n'}"
    [[ $answer == HTTP/1.?\ 200\ * ]]
}

# wait_until SECONDS COMMAND...
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.2
    done
}

all_ended() {
    ! kill -0 -- "$@" 2>/dev/null
}

# Gently, and after five seconds not so. Polls, because bash waits for ever for a child that a signal to the whole group ended
# while bash itself was on its way out.
end_processes() {
    kill -- "$@" 2>/dev/null
    wait_until 5 all_ended "$@" || kill -KILL -- "$@" 2>/dev/null
}

# Runs a command that takes minutes so that a signal to this script ends it at once, with all that it has started: bash lets no
# signal through while it waits for a command in the foreground.
attend() {
    local status
    setsid "$@" </dev/null &
    attended=$!
    wait "$attended"
    status=$?
    attended=
    return "$status"
}

directory_answers() {
    http_get / >/dev/null
}

peer_active() {
    http_get /peers_activos | grep -qF "\"Peer$1\""
}

peer_indexed() {
    local list name
    list=$(http_get /ver_archivos) || return 1
    for name in "$top/data/dataPeer$1"/archivo?_p"$1".*; do
        [[ $list == *"{\"peer\":\"Peer$1\",\"filename\":\"${name##*/}\""* ]] || return 1
    done
}

# Only the project's own files: what peers received in earlier runs stays out of the check.
copy_data() {
    local peer
    data=$scratch/data
    for peer in 1 2 3; do
        mkdir -p "$data/dataPeer$peer"
        cp "$top/data/dataPeer$peer"/archivo?_p"$peer".* "$data/dataPeer$peer/"
    done
}

menu() {
    local command peer
    data=$top/data
    network_start || fail_with_logs "the network did not start"
    for peer in 1 2 3; do
        wait_until 30 peer_active "$peer" || fail_with_logs "Peer$peer did not log in to the directory"
    done
    note "The directory answers on http://127.0.0.1:$base_port, the peers on the next three ports."
    network_hints
    peer_command 1
    if [ "$way" = compose ] && [ -t 0 ]; then
        command=(docker exec -it p1 p2p-peer)
    fi
    [ ! -t 0 ] || terminal=$(stty -g)
    # In the background for the reason that attend() gives, but with the terminal.
    "${command[@]}" menu <&0 &
    menu_pid=$!
    wait "$menu_pid"
    menu_status=$?
    menu_pid=
    return "$menu_status"
}

on_exit() {
    local status=$?
    trap '' INT TERM HUP
    if [ -n "${menu_pid:-}" ]; then
        disown "$menu_pid"
        end_processes "$menu_pid"
    fi
    if [ -n "${attended:-}" ]; then
        disown "$attended"
        end_processes "-$attended" # its process group
    fi
    [ -z "${terminal:-}" ] || stty "$terminal"
    network_stop
    [ -z "$scratch" ] || rm -rf "$scratch"
    exit "$status"
}
