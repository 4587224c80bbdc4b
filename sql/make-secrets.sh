#!/bin/sh
# Write the installation's secrets, random, at the first start: one file of KEY=VALUE lines for each
# group of readers, readable by that group alone. A secret that exists is never changed; one that
# an earlier version did not have yet is added.
set -eu

directory=${1:?usage: make-secrets.sh DIRECTORY}
umask 077

# The groups: 901 postgres, 902 kamailio, 903 provisioner, 904 the migration only.
# 192 random bits, in characters that need no quoting in a URL or a shell.
random() { head -c 24 /dev/urandom | base64 | tr '+/' '-_'; }
# A Fernet key, with which hook secrets are sealed.
fernet_key() { head -c 32 /dev/urandom | base64 | tr '+/' '-_'; }

# write NAME GROUP_ID: standard input becomes the file, complete or not at all.
write() {
    cat > "$directory/$1.new"
    chown "root:$2" "$directory/$1.new"
    chmod 0440 "$directory/$1.new"
    mv "$directory/$1.new" "$directory/$1"
}

# add NAME GROUP_ID KEY VALUE: a line more for a file that has none of the key.
add() {
    grep -q "^$3=" "$directory/$1" || { cat "$directory/$1"; echo "$3=$4"; } | write "$1" "$2"
}

# Who shows this token may read what is measured: the processes know it from their files, Prometheus from
# one that its image's user (nobody, 65534) may read.
let_metrics_be_read() {
    [ -e "$directory/metrics-token" ] || random | write metrics-token 65534
    metrics_token=$(cat "$directory/metrics-token")
    add provisioner.env 903 METRICS_TOKEN "$metrics_token"
    add kamailio.env 902 METRICS_TOKEN "$metrics_token"
}

# The file written last shows that the set is complete.
if [ -e "$directory/postgres.env" ]; then
    add provisioner.env 903 SECRETS_KEY "$(fernet_key)"
    add postgres.env 901 REPLICATION_PASSWORD "$(random)"
    let_metrics_be_read
    exit 0
fi
postgres=$(random) provisioner=$(random) kamailio=$(random) rpc_token=$(random)
database=postgres:5432/provisioner

write kamailio.env 902 << END
KAMAILIO_DB_URL=postgres://kamailio:$kamailio@$database
KAMAILIO_RPC_TOKEN=$rpc_token
END
write provisioner.env 903 << END
DATABASE_URL=postgresql://provisioner:$provisioner@$database
KAMAILIO_RPC_TOKEN=$rpc_token
SECRETS_KEY=$(fernet_key)
END
let_metrics_be_read
write migrate.env 904 << END
DATABASE_ADMIN_URL=postgresql://postgres:$postgres@$database
PROVISIONER_DB_PASSWORD=$provisioner
KAMAILIO_DB_PASSWORD=$kamailio
END
write postgres.env 901 << END
POSTGRES_PASSWORD=$postgres
REPLICATION_PASSWORD=$(random)
END
chmod 0755 "$directory"
