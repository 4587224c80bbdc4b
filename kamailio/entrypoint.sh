#!/bin/bash
# Start Kamailio on the addresses that this container has: SIP over UDP and TCP on each of them,
# JSON-RPC on the one that KAMAILIO_RPC_HOST names and on the loopback. The secrets come from the
# file that SECRETS_FILE names. Further arguments go to Kamailio.
set -euo pipefail

set -a
. "$SECRETS_FILE"
set +a

rpc_address=$(getent ahostsv4 "$KAMAILIO_RPC_HOST" | awk 'NR == 1 { print $1 }')
[ -n "$rpc_address" ] || { echo "no address for KAMAILIO_RPC_HOST=$KAMAILIO_RPC_HOST" >&2; exit 1; }
read -ra addresses <<< "$(hostname --all-ip-addresses)"

listeners=()
for address in "${addresses[@]}"; do
    [[ $address != *:* ]] || address="[$address]"
    listeners+=(-l "udp:$address:5060" -l "tcp:$address:5060")
done
for address in "$rpc_address" 127.0.0.1; do
    listeners+=(-l "tcp:$address:$KAMAILIO_RPC_PORT")
done

exec kamailio -DD -E -x tlsf -M 32 -f /etc/kamailio/kamailio.cfg "${listeners[@]}" "$@"
