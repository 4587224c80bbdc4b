#!/bin/sh
# Run a command with the secrets in its environment: SECRETS_FILES names files of KEY=VALUE lines,
# separated by spaces.
set -eu

set -a
for file in $SECRETS_FILES; do
    . "$file"
done
set +a
exec "$@"
