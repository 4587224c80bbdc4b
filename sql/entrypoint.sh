#!/bin/sh
# Become a PostgreSQL server. At the first start the cluster is made: with the database `provisioner`,
# or as a copy of the server that REPLICA_OF names (HOST:PORT), which is followed from then on.
# TCP only, scram-sha-256 passwords only. The file that SECRETS_FILE names has POSTGRES_PASSWORD (the
# superuser's) and REPLICATION_PASSWORD (of the role `replicator`, as which a replica logs in).
set -eu

home=/var/lib/postgresql
cluster=$home/cluster
slot=replica
# How much is kept for a replica that is away; one that was away for longer is copied anew.
kept=${REPLICATION_KEPT:-2GB}

make_cluster() {
    # Made beside its place and moved there whole: a start that was interrupted leaves no half.
    rm -rf "$cluster.new"
    password_file=$(mktemp)
    printf '%s\n' "$POSTGRES_PASSWORD" > "$password_file"
    initdb --pgdata "$cluster.new" --username postgres --pwfile "$password_file" \
        --auth scram-sha-256 --encoding UTF8 --locale C.UTF-8 --data-checksums
    rm "$password_file"
    echo "host all all samenet scram-sha-256" >> "$cluster.new/pg_hba.conf"
    echo "CREATE DATABASE provisioner;" | postgres --single -D "$cluster.new" -j postgres
    mv "$cluster.new" "$cluster"
}

# At each start: a cluster that an earlier version made has none of this, and the password may have
# changed. The superuser's is not needed for it.
let_replicas_in() {
    grep -q '^host replication ' "$cluster/pg_hba.conf" ||
        echo "host replication replicator samenet scram-sha-256" >> "$cluster/pg_hba.conf"
    # With -j a command ends at a semicolon with an empty line after it.
    postgres --single -D "$cluster" -j -c log_min_error_statement=panic postgres > /dev/null << END
DO \$\$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'replicator') THEN
        CREATE ROLE replicator LOGIN REPLICATION;
    END IF;
END \$\$;

ALTER ROLE replicator PASSWORD '$REPLICATION_PASSWORD';

END
}

ask_primary() {
    psql --no-psqlrc --quiet --tuples-only --no-align --dbname "$primary dbname=postgres" --command "$1"
}

# The password stays in a file in memory; the copy names that file, so it may change.
meet_primary() {
    PGPASSFILE=/tmp/pgpass
    export PGPASSFILE
    (umask 077 && printf '*:*:*:replicator:%s\n' "$REPLICATION_PASSWORD" > "$PGPASSFILE")
    primary="host=${REPLICA_OF%:*} port=${REPLICA_OF##*:} user=replicator application_name=$slot"
}

# A primary that is away is waited for; one that has thrown away what this copy lacks is not followed.
may_follow() {
    [ -d "$cluster" ] || return 1
    status=$(ask_primary "SELECT wal_status FROM pg_replication_slots WHERE slot_name = '$slot'") ||
        return 0
    [ -n "$status" ] && [ "$status" != lost ]
}

copy_primary() {
    rm -rf "$cluster.new" "$cluster"
    ask_primary "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
        WHERE slot_name = '$slot' AND NOT active" > /dev/null
    pg_basebackup --pgdata "$cluster.new" --dbname "$primary" --checkpoint fast --no-password \
        --create-slot --slot "$slot" --write-recovery-conf
    mv "$cluster.new" "$cluster"
}

. "$SECRETS_FILE"
if [ -n "${REPLICA_OF-}" ]; then
    meet_primary
    may_follow || copy_primary
else
    [ -d "$cluster" ] || make_cluster
    let_replicas_in
fi
# Of a row that breaks a rule the log would repeat all columns, hashes included: terse.
exec postgres -D "$cluster" -c listen_addresses='*' -c unix_socket_directories='' \
    -c log_error_verbosity=terse \
    -c max_connections="${POSTGRES_MAX_CONNECTIONS:-300}" -c max_slot_wal_keep_size="$kept"
