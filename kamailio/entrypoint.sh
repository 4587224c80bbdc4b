#!/bin/bash
# Start Kamailio on the addresses that this container has: JSON-RPC on the one that KAMAILIO_RPC_HOST
# names and on the loopback; SIP over UDP and TCP on each of the others, and over TLS where there is a
# certificate; SIP over WebSocket where origins are allowed. Where KAMAILIO_DMQ_ADDRESS (HOST:PORT) is set
# it shares bindings and bans with the nodes that KAMAILIO_DMQ_PEERS names, and that address is for nothing
# else. The secrets come from the file that SECRETS_FILE names; those of the database hold for its replica,
# KAMAILIO_REPLICA (HOST:PORT), too. Further arguments go to Kamailio.
set -euo pipefail

set -a
. "$SECRETS_FILE"
set +a

# postgres://USER:PASSWORD@HOST:PORT/DATABASE
[ -z "${KAMAILIO_REPLICA-}" ] ||
    export KAMAILIO_REPLICA_URL="${KAMAILIO_DB_URL%@*}@$KAMAILIO_REPLICA/${KAMAILIO_DB_URL##*/}"

# Kamailio knows other nodes by their numeric addresses.
in_numbers() {
    local address
    address=$(getent ahostsv4 "${1%:*}" | awk 'NR == 1 { print $1 }')
    [ -n "$address" ] || { echo "no address for ${1%:*}" >&2; return 1; }
    echo "$address:${1##*:}"
}

dmq_address=""
if [ -n "${KAMAILIO_DMQ_ADDRESS-}" ]; then
    KAMAILIO_DMQ_ADDRESS=$(in_numbers "$KAMAILIO_DMQ_ADDRESS")
    dmq_address=${KAMAILIO_DMQ_ADDRESS%:*}
    read -ra named <<< "${KAMAILIO_DMQ_PEERS//,/ }"
    peers=()
    for peer in "${named[@]}"; do
        # One that has no address now is not heard until this node starts again.
        if peer=$(in_numbers "$peer"); then
            peers+=("$peer")
            export "KAMAILIO_DMQ_PEER_${#peers[@]}=$peer"
        fi
    done
    KAMAILIO_DMQ_PEERS=$(IFS=,; echo "${peers[*]-}")
    export KAMAILIO_DMQ_ADDRESS KAMAILIO_DMQ_PEERS
else
    unset KAMAILIO_DMQ_ADDRESS
fi

unset KAMAILIO_TLS_CONFIG
if [ -n "${KAMAILIO_TLS_CERTIFICATE-}" ]; then
    export KAMAILIO_TLS_CONFIG=/run/kamailio/tls-domains.cfg
    tls-domains.sh >"$KAMAILIO_TLS_CONFIG"
fi
# WebSocket is for pages of known origins, over TLS where there is any.
unset KAMAILIO_WS_PORT
[ -z "${KAMAILIO_WS_ORIGINS-}" ] || export KAMAILIO_WS_PORT=8443

rpc_address=$(getent ahostsv4 "$KAMAILIO_RPC_HOST" | awk 'NR == 1 { print $1 }')
[ -n "$rpc_address" ] || { echo "no address for KAMAILIO_RPC_HOST=$KAMAILIO_RPC_HOST" >&2; exit 1; }
read -ra addresses <<< "$(hostname --all-ip-addresses)"

# Over TCP and TLS Kamailio sends from its first listener (mhomed is for UDP): that has to be the address
# on the way out, whatever order the networks are in. Nothing is sent to find it.
outward=$(perl -MIO::Socket::INET -e '
    print IO::Socket::INET->new(Proto => "udp", PeerAddr => "192.0.2.1:9")->sockhost')

sip_addresses=()
for address in "$outward" "${addresses[@]}"; do
    [[ " $rpc_address $dmq_address ${sip_addresses[*]-} " == *" $address "* ]] || sip_addresses+=("$address")
done
# A container with one network has to do with it.
[ ${#sip_addresses[@]} -gt 0 ] || sip_addresses=("$rpc_address")

listeners=()
for address in "${sip_addresses[@]}"; do
    [[ $address != *:* ]] || address="[$address]"
    listeners+=(-l "udp:$address:5060" -l "tcp:$address:5060")
    [ -z "${KAMAILIO_TLS_CONFIG-}" ] || listeners+=(-l "tls:$address:5061")
done
if [ -n "${KAMAILIO_WS_PORT-}" ]; then
    for address in "${sip_addresses[@]}"; do
        [[ $address != *:* ]] || address="[$address]"
        listeners+=(-l "$([ -n "${KAMAILIO_TLS_CONFIG-}" ] && echo tls || echo tcp):$address:$KAMAILIO_WS_PORT")
    done
fi
# After those for phones: the first one is where Kamailio sends from.
[ -z "$dmq_address" ] || listeners+=(-l "udp:$KAMAILIO_DMQ_ADDRESS")
for address in "$rpc_address" 127.0.0.1; do
    listeners+=(-l "tcp:$address:$KAMAILIO_RPC_PORT")
done

exec kamailio -DD -E --log-engine=json:M -x tlsf -M 32 -f /etc/kamailio/kamailio.cfg "${listeners[@]}" "$@"
