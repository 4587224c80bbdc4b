# What the scripts that run the system in containers share; sourced by them. They set COMPOSE_PROJECT_NAME
# and COMPOSE_FILE, and remove everything in `finish`.

say() { printf '[%4ds] %s\n' "$SECONDS" "$*"; }

# So many ports of the loopback that are free now: an installation on the usual ones is not disturbed.
free_ports() {
    python3 - "$1" <<'END'
import socket
import sys

sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for each in sockets:
    each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in sockets))
END
}

# Everything but the tests. A node that finds the database too slow while it starts ends, and is started
# again by the engine; compose gives up at the first such end.
up() {
    local attempt
    for attempt in 1 2 3; do
        docker compose --ansi never --progress plain up --wait </dev/null && return
        say "not all of it works after attempt $attempt"
    done
    return 1
}

compose() { docker compose --ansi never --progress plain --profile tests "$@" </dev/null; }

answers_http() {
    exec 3<>"/dev/tcp/127.0.0.1/$HTTP_PORT"
    printf 'GET /%s HTTP/1.0\r\n\r\n' "$1" >&3
    local answer
    answer=$(cat <&3)
    exec 3>&-
    [[ $answer == HTTP/1.?" 200 "* ]] || { printf '%s\n' "$answer" >&2; return 1; }
}

answers_sip() {
    docker run --rm --network host provisioner-tests sipsak -s "sip:127.0.0.1:$1" </dev/null
}

# wait_until SECONDS COMMAND...: until it succeeds.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || { say "waited in vain: $*"; return 1; }
        sleep 0.2
    done
}

finish() {
    local status=$?
    if [ "$status" -ne 0 ]; then
        say "failed: what the containers wrote"
        compose ps --all || true
        compose logs --no-color --timestamps --tail 200 || true
    fi
    say "removing the containers, networks and volumes"
    compose down --volumes --remove-orphans --timeout 10 || true
    [ -z "${TLS_DIRECTORY-}" ] || rm -r "$TLS_DIRECTORY"
    exit "$status"
}

trap_finish() {
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    # What an earlier run that was killed may have left behind.
    compose down --volumes --remove-orphans
}
