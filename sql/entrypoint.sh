#!/bin/sh
# Make the cluster and the database `provisioner` at the first start, then become the server.
# TCP only, scram-sha-256 passwords only. Reads POSTGRES_PASSWORD (the superuser's) from the file
# that SECRETS_FILE names.
set -eu

home=/var/lib/postgresql
cluster=$home/cluster

make_cluster() {
    . "$SECRETS_FILE"
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

[ -d "$cluster" ] || make_cluster
exec postgres -D "$cluster" -c listen_addresses='*' -c unix_socket_directories=''
