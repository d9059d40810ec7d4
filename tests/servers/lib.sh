# shellcheck shell=bash
# What the server scripts share. Sourced, never run.
#
# Every running server is an instance named SERVER-PORT with a folder of its own:
#   pids   one line per process: its pid and its start time
#   env    the KSTATE_* lines that a client needs
#   *.log  what the processes wrote
#   data/  everything else, removed when the instance stops

set -euo pipefail

servers_root=${KSTATE_SERVERS:-${TMPDIR:-/tmp}/kstate-servers}

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# The root holds programs that are run later, so nobody else may own it.
make_root() {
    (umask 077 && mkdir -p "$servers_root")
    [[ -O $servers_root ]] || die "$servers_root belongs to another user; set KSTATE_SERVERS to a folder of yours"
}

instance_folder() { printf '%s/%s\n' "$servers_root" "$1"; }

# need_packages COMMAND PACKAGE…: installs Debian packages unless COMMAND is there already.
need_packages() {
    command -v "$1" >/dev/null || install_packages "${@:2}"
}

install_packages() {
    command -v apt-get >/dev/null || die "there is no apt-get here: install the equivalent of: $*"
    ((EUID == 0)) || die "needed, run as root: apt-get install --no-install-recommends $*"
    say "installing $*"
    make_root
    # KSTATE_APT_UPDATED: the caller has refreshed the package lists already.
    (
        flock 9 &&
            { [[ -n ${KSTATE_APT_UPDATED:-} ]] || apt-get update -qq; } &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
    ) 9>"$servers_root/apt.lock" >"$servers_root/apt.log" 2>&1 </dev/null || {
        tail -n 20 "$servers_root/apt.log" >&2
        die "apt-get could not install $*"
    }
}

# need_venv NAME REQUIREMENT…: makes the virtual environment NAME and prints its bin folder.
need_venv() {
    local folder=$servers_root/venv-$1
    shift
    if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
        install_packages python3 python3-venv python3-pip
        hash -r
    fi
    make_root
    (
        flock 9
        [[ -f $folder/requirements && $(<"$folder/requirements") == "$*" ]] || make_venv "$folder" "$@"
    ) 9>"$folder.lock" || die "pip could not install $*"
    printf '%s/bin\n' "$folder"
}

make_venv() {
    local folder=$1
    shift
    say "installing $* into $folder"
    # The list is written last: an interrupted installation has none and starts over.
    {
        rm -rf "$folder" &&
            python3 -m venv "$folder" &&
            "$folder/bin/pip" install --quiet --disable-pip-version-check --no-input "$@" &&
            printf '%s\n' "$*" >"$folder/requirements"
    } >"$folder.log" 2>&1 </dev/null && return
    tail -n 20 "$folder.log" >&2
    return 1
}

# need_npm NAME PACKAGE…: installs packages of npm into the folder NAME and prints its modules' folder.
need_npm() {
    local folder=$servers_root/npm-$1
    shift
    make_root
    (
        flock 9
        [[ -f $folder/requirements && $(<"$folder/requirements") == "$*" ]] || install_npm "$folder" "$@"
    ) 9>"$folder.lock" || die "npm could not install $*"
    printf '%s/node_modules\n' "$folder"
}

install_npm() {
    local folder=$1
    shift
    say "installing $* into $folder"
    {
        rm -rf "$folder" && mkdir -p "$folder" &&
            npm install --prefix "$folder" --no-audit --no-fund --ignore-scripts --silent "$@" &&
            printf '%s\n' "$*" >"$folder/requirements"
    } >"$folder.log" 2>&1 </dev/null && return
    tail -n 20 "$folder.log" >&2
    return 1
}

# free_ports COUNT [PORT…]: prints that many different ports that nothing listens on, none of them
# one of those that are meant for others, space-separated.
free_ports() {
    need_packages python3 python3
    python3 - "$@" <<'PY'
import socket, sys
count, *taken = map(int, sys.argv[1:])
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count + len(taken))]
ports = (s.getsockname()[1] for s in held)
print(*[port for port in ports if port not in taken][:count])
PY
}

port_is_taken() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# identity PID: the pid with its start time, so that a recycled pid is never taken for ours.
identity() {
    local stat fields
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # The second field is the command in parentheses and may hold spaces; start time is field 22.
    read -ra fields <<<"${stat##*) }"
    [[ ${fields[0]} != Z ]] || return 1
    printf '%s %s\n' "$1" "${fields[19]}"
}

is_ours() { [[ $(identity "$1" || true) == "$1 $2" ]]; }

# is_running FOLDER: whether every process of the instance is alive.
is_running() {
    local pid started
    [[ -s $1/pids ]] || return 1
    while read -r pid started; do
        is_ours "$pid" "$started" || return 1
    done <"$1/pids"
}

# spawn FOLDER NAME COMMAND…: starts a process away from this terminal, with NAME.log as its output.
spawn() {
    local folder=$1 name=$2
    shift 2
    setsid "$@" >>"$folder/$name.log" 2>&1 </dev/null 8>&- &
    identity "$!" >>"$folder/pids" || fail_start "$folder" "$name" "ended at once"
}

# wait_until SECONDS FOLDER NAME COMMAND…: waits for COMMAND to succeed while the instance lives.
wait_until() {
    local deadline=$((SECONDS + $1)) folder=$2 name=$3
    shift 3
    until "$@" >/dev/null 2>&1; do
        is_running "$folder" || fail_start "$folder" "$name" "ended while starting"
        ((SECONDS < deadline)) || fail_start "$folder" "$name" "did not answer in time"
        sleep 0.1
    done
    is_running "$folder" || fail_start "$folder" "$name" "ended while starting"
}

fail_start() {
    local folder=$1 name=$2 why=$3
    say "--- the end of $folder/$name.log"
    tail -n 20 "$folder/$name.log" >&2 || true
    die "${folder##*/}: $name $why"
}

# start_instance SERVER [PORT]: runs `launch FOLDER PORT` of the calling script unless the instance
# runs already, then prints the lines a client needs.
start_instance() {
    local server=$1 port=${2:-} folder
    make_root
    [[ -n $port ]] || port=$(free_ports 1)
    [[ $port =~ ^[0-9]+$ ]] || die "usage: $server [PORT]"
    folder=$(instance_folder "$server-$port")
    mkdir -p "$folder"
    exec 8>"$folder/lock"
    flock 8
    if ! is_running "$folder"; then
        stop_instance "$server-$port"
        port_is_taken "$port" && die "$server-$port: another program listens on port $port"
        rm -rf "$folder"/*.log "$folder/env"
        mkdir -p "$folder/data"
        # A start that fails or is interrupted leaves its logs and nothing that runs.
        trap 'stop_instance "'"$server-$port"'"' EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM
        launch "$folder" "$port"
        trap - EXIT INT TERM
    fi
    print_client_lines "$folder" "$server"
}

# write_env FOLDER NAME=VALUE…: keeps what a client needs, as lines that a shell can read.
write_env() {
    local folder=$1 pair
    shift
    for pair; do
        printf 'export %s=%q\n' "${pair%%=*}" "${pair#*=}"
    done >"$folder/env"
}

# The variables of this server, and the same as AWS_* for clients that know only those.
print_client_lines() {
    local prefix=KSTATE_${2^^} name
    cat "$1/env"
    # shellcheck source=/dev/null
    source "$1/env"
    printf 'export AWS_EC2_METADATA_DISABLED=true'
    local key=${prefix}_ACCESS_KEY_ID
    for name in ${!key:+ENDPOINT:AWS_ENDPOINT_URL ACCESS_KEY_ID:AWS_ACCESS_KEY_ID \
        SECRET_ACCESS_KEY:AWS_SECRET_ACCESS_KEY REGION:AWS_REGION}; do
        local source=${prefix}_${name%%:*}
        printf ' %s=%q' "${name#*:}" "${!source}"
    done
    printf '\n# tests/servers/stop %s\n' "${1##*/}"
}

# stop_instance SERVER-PORT: ends the processes of the instance, the last one started first.
stop_instance() {
    local folder pid started
    folder=$(instance_folder "$1")
    [[ -e $folder/pids ]] || return 0
    while read -r pid started; do
        end_process "$pid" "$started"
    done < <(tac "$folder/pids")
    rm -rf "$folder/pids" "$folder/data"
}

end_process() {
    local pid=$1 started=$2 deadline=$((SECONDS + 10))
    is_ours "$pid" "$started" || return 0
    kill "$pid" 2>/dev/null || true
    while is_ours "$pid" "$started"; do
        if ((SECONDS >= deadline)); then
            kill -KILL "$pid" 2>/dev/null || true
        fi
        sleep 0.05
    done
}
