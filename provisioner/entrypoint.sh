#!/bin/sh
# Run a command with the secrets in its environment: SECRETS_FILES names files of KEY=VALUE lines,
# separated by spaces. Those of the database hold for its replicas, too: of REPLICAS=NODE=HOST:PORT,...
# KAMAILIO_REPLICAS is made.
set -eu

set -a
for file in $SECRETS_FILES; do
    . "$file"
done
# postgresql://USER:PASSWORD@HOST:PORT/DATABASE
if [ -n "${REPLICAS-}" ]; then
    KAMAILIO_REPLICAS=$(printf '%s' "$REPLICAS" |
        sed "s#=\\([^,]*\\)#=${DATABASE_URL%@*}@\\1/${DATABASE_URL##*/}#g")
fi
set +a
exec "$@"
