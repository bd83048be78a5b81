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

# Copies Caddy's certificate for TURN_DOMAIN, if there is one, and says whether it is another one
# than before. Caddy has a folder for each authority that it asked; the newest file counts.
fetch_certificate() {
  newest=$(ls -t "$TURN_CERTIFICATES"/*/"$TURN_DOMAIN/$TURN_DOMAIN.crt" 2>/dev/null | head -n 1)
  [ -n "$newest" ] && [ -r "${newest%.crt}.key" ] || return 1
  ! cmp -s "$newest" "$folder/turn.crt" || return 1
  # The key first: a look in between finds the old certificate and comes again.
  cp "${newest%.crt}.key" "$folder/turn.key" && cp "$newest" "$folder/turn.crt"
}

if [ -n "${TURN_CERTIFICATES:-}" ]; then
  until fetch_certificate; do
    echo "waiting for a certificate for $TURN_DOMAIN in $TURN_CERTIFICATES" >&2
    sleep "${TURN_LOOK_S:-10}"
  done
  set -- --cert="$folder/turn.crt" --pkey="$folder/turn.key" "$@"
  # Renewed certificates are taken up without ending an allocation (SIGUSR2).
  while sleep "${TURN_LOOK_S:-60}" && kill -0 $$ 2>/dev/null; do
    if fetch_certificate; then kill -USR2 $$; fi
  done &
fi
exec turnserver -c "$folder/turnserver.conf" \
  --userdb="$folder/turndb" --pidfile="$folder/turn.pid" "$@"
