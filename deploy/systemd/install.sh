#!/bin/sh
# Install the units, their users and their settings on this machine (as root):
#
#   deploy/systemd/install.sh SIP_ADDRESS [DATABASE_HOST:PORT]
#
# Secrets are random and made once, in /etc/provisioner; a file that exists there is left alone. Nothing
# is started. DESTDIR is put before every path, for a look at what would be done.
set -eu

sip_address=${1:?usage: deploy/systemd/install.sh SIP_ADDRESS [DATABASE_HOST:PORT]}
database=${2:-127.0.0.1:5432}/provisioner
here=$(cd "$(dirname "$0")" && pwd)
root=${DESTDIR-}
settings=$root/etc/provisioner
umask 077

# In characters that need no quoting in a URL, a shell or a unit's settings.
random() { head -c 24 /dev/urandom | base64 | tr '+/' '-_'; }
fernet_key() { head -c 32 /dev/urandom | base64 | tr '+/' '-_'; }

# once NAME: standard input becomes the file, complete or not at all, where there is none.
once() {
    if [ -e "$settings/$1" ]; then cat > /dev/null; return; fi
    cat > "$settings/$1.new"
    mv "$settings/$1.new" "$settings/$1"
}

# What more than one file has is kept in one of its own.
mkdir -p "$settings"
once secrets << END
owner=$(random)
provisioner=$(random)
kamailio=$(random)
rpc_token=$(random)
END
. "$settings/secrets"

once settings.env << END
# For all units: what is no secret.
SIP_REALM=talkytime.test
SIP_ADDRESS=$sip_address
COUNTRY_CODE=39
END
once provisioner.env << END
DATABASE_URL=postgresql://provisioner:$provisioner@$database
KAMAILIO_NODES=node1=http://127.0.0.1:8090/rpc
KAMAILIO_RPC_TOKEN=$rpc_token
SECRETS_KEY=$(fernet_key)
# 1: the service is behind a proxy, which says who its clients are.
TRUSTED_PROXIES=0
END
once migrate.env << END
DATABASE_ADMIN_URL=postgresql://provisioner_owner:$owner@$database
PROVISIONER_DB_PASSWORD=$provisioner
KAMAILIO_DB_PASSWORD=$kamailio
END
once kamailio.env << END
KAMAILIO_DB_URL=postgres://kamailio:$kamailio@$database
KAMAILIO_RPC_TOKEN=$rpc_token
KAMAILIO_RPC_PORT=8090
END
once kamailio-node1.env << END
KAMAILIO_SERVER_ID=1
KAMAILIO_NONCE_SECRET=$(random)
# JSON-RPC last, on an address that only workers reach.
LISTENERS=-l udp:$sip_address:5060 -l tcp:$sip_address:5060 -l tcp:127.0.0.1:8090
END
once database.sql << END
-- Once, as PostgreSQL's superuser: psql --file database.sql
CREATE ROLE provisioner_owner LOGIN CREATEROLE PASSWORD '$owner';
CREATE DATABASE provisioner OWNER provisioner_owner;
END

install -d -m 755 "$root/etc/systemd/system/provisioner-.service.d" "$root/etc/sysusers.d"
install -m 644 "$here"/*.service "$root/etc/systemd/system/"
install -m 644 "$here/provisioner-.service.d/hardening.conf" \
    "$root/etc/systemd/system/provisioner-.service.d/"
install -m 644 "$here/provisioner.sysusers" "$root/etc/sysusers.d/provisioner.conf"
[ -n "$root" ] || systemd-sysusers provisioner.conf
[ ! -d /run/systemd/system ] || [ -n "$root" ] || systemctl daemon-reload
