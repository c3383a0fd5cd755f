# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with docker/demo
# The whole demonstration, step by step, with a verdict on each. Read by docker/demo.

# step TEXT COMMAND...: prints the verdict; the first step that fails ends the check.
step() {
    local text=$1
    shift
    if "$@"; then
        printf 'ok      %s\n' "$text"
    else
        printf 'FAILED  %s\n' "$text"
        [ ! -s "$scratch/menu.out" ] || sed 's/^/menu    | /' "$scratch/menu.out" >&2
        network_logs
        note "The demonstration failed ($way)."
        exit 1
    fi
}

all_run() {
    local node
    for node in "$@"; do
        node_runs "$node" || return 1
    done
}

# The menu of peer 1 with our end of a pipe as its terminal.
menu_open() {
    local command
    mkfifo "$scratch/menu.in" || return 1
    peer_command 1
    "${command[@]}" menu <"$scratch/menu.in" >"$scratch/menu.out" 2>&1 &
    menu_pid=$!
    exec 7>"$scratch/menu.in"
    menu_shows "Seleccione una opción:"
}

# In a subshell: if the menu is gone, the broken pipe ends only that.
menu_type() {
    (printf '%s\n' "$1" >&7) 2>/dev/null
}

menu_shows() {
    wait_until 20 grep -qF -- "$1" "$scratch/menu.out"
}

menu_finds() {
    menu_type 1 && menu_type "$1" && menu_shows "Archivo encontrado: $1" && menu_shows "Peer: $2 - "
}

# Chooses peer $1 by the number that the menu printed before it, and waits for the line that says the file is there.
menu_downloads() {
    local number
    number=$(sed -n "s/^.*\([0-9][0-9]*\)\. Peer: $1 - .*$/\1/p" "$scratch/menu.out" | head -n 1)
    menu_type "$number" && menu_shows "Descargando desde $1 (" &&
        menu_shows "Archivo descargado exitosamente:" && grep -F "exitosamente: " "$scratch/menu.out" | grep -qF "/$2"
}

menu_leaves() {
    menu_type 0 && menu_shows "Saliendo del menú."
    exec 7>&-
    wait "$menu_pid"
    local status=$?
    menu_pid=
    [ "$status" -eq 0 ]
}

same_file() {
    cmp -s "$data/dataPeer$1/$3" "$data/dataPeer$2/$3"
}

peer_gone() {
    local list
    list=$(http_get /peers_activos) && [[ $list != *"\"Peer$1\""* ]]
}

# The answer to a search for a file that only expired peers share.
found_but_inactive() {
    local answer
    answer=$(http_get "/buscar_archivos?filename=$1") && return 1
    [[ $answer == *"encontrado pero los peers no están activos"* ]]
}

peer_does() {
    local command peer=$1
    shift
    peer_command "$peer"
    "${command[@]}" "$@" >"$scratch/command.out" 2>&1 </dev/null || {
        sed 's/^/        | /' "$scratch/command.out" >&2
        return 1
    }
}

check() {
    local peer killed_at
    step "the directory and three peers are up" network_start
    for peer in 1 2 3; do
        step "Peer$peer logged in" wait_until 15 peer_active "$peer"
        step "the files of Peer$peer are in the index" wait_until 15 peer_indexed "$peer"
    done

    step "the menu of peer 1 opens" menu_open
    step "menu: archivo1_p2.txt is found at Peer2" menu_finds archivo1_p2.txt Peer2
    step "menu: it is downloaded from Peer2" menu_downloads Peer2 archivo1_p2.txt
    step "the file in the folder of peer 1 is the same" same_file 1 2 archivo1_p2.txt
    step "the menu is left" menu_leaves

    step "peer 3 is killed" peer_kill 3
    killed_at=$SECONDS
    # A look every fifth of a second and one more heartbeat under way: three seconds more than the expiry.
    step "Peer3 is no longer active within $expiry s" wait_until $((expiry + 3)) peer_gone 3
    note "        after $((SECONDS - killed_at)) s"
    step "its files are known, but not to be had" found_but_inactive archivo1_p3.txt
    step "Peer1 is still active" peer_active 1
    step "Peer2 is still active" peer_active 2
    step "peer 1 still finds files" peer_does 1 search archivo2_p2.csv
    step "peer 1 still downloads" peer_does 1 get archivo2_p2.csv --from Peer2
    step "that file is the same" same_file 1 2 archivo2_p2.csv
    step "peer 2 downloads from peer 1" peer_does 2 get archivo3_p1.txt --from Peer1
    step "that file is the same" same_file 2 1 archivo3_p1.txt
    step "the directory, peer 1 and peer 2 still run" all_run 0 1 2
    note "The whole demonstration went well ($way)."
}
