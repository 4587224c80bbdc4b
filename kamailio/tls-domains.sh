#!/bin/sh
# Write Kamailio's TLS settings to standard output: they are files of their own, which know nothing
# of the environment. Phones need no certificate; whom this server connects to needs one of an
# authority that we trust.
set -eu

cat <<EOF
[server:default]
method = TLSv1.2+
certificate = $KAMAILIO_TLS_CERTIFICATE
private_key = $KAMAILIO_TLS_PRIVATE_KEY
verify_certificate = no
require_certificate = no

[client:default]
method = TLSv1.2+
certificate = $KAMAILIO_TLS_CERTIFICATE
private_key = $KAMAILIO_TLS_PRIVATE_KEY
ca_list = ${KAMAILIO_TLS_CA:-/etc/ssl/certs/ca-certificates.crt}
verify_certificate = yes
require_certificate = yes
verify_depth = 6
EOF
