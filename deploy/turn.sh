#!/bin/sh
# Starts coturn with the secret that it shares with Sealroute, from a file: on a command line or in
# the environment every user of the machine and every inspection of the container would see it.
set -eu
umask 077
secret_file=${TURN_SECRET_FILE:-/run/secrets/turn-secret}
configuration=${TURN_CONFIGURATION:-/etc/sealroute/turnserver.conf}
folder=${TURN_RUN_FOLDER:-/run/turn}

secret=$(cat "$secret_file")
if [ ${#secret} -lt 32 ]; then
  echo "$secret_file must hold 32 characters or more: openssl rand -hex 32" >&2
  exit 1
fi
{
  cat "$configuration"
  printf 'static-auth-secret=%s\n' "$secret"
} > "$folder/turnserver.conf"
unset secret
exec turnserver -c "$folder/turnserver.conf" \
  --userdb="$folder/turndb" --pidfile="$folder/turn.pid" "$@"
