#!/usr/bin/env bash
# start.sh COMMAND…: an app with Sluice at its side, as the one program of a container or a unit. Sluice faces the world
# on $LISTEN; the app listens on 127.0.0.1:$PORT. On SIGTERM Sluice drains first, and only then the app is ended, so that
# it never loses a request to its own shutdown.
set -uo pipefail
export PORT=${PORT:-3000}
"$@" & app=$!
sluice run --to "127.0.0.1:$PORT" --listen "${LISTEN:-:8080}" & sidecar=$!
trap : TERM INT                                # the signal only ends the wait below
wait -n $app $sidecar
kill -TERM $sidecar 2>/dev/null; wait $sidecar # returns when Sluice has drained; a second signal would end it at once
kill -TERM $app 2>/dev/null; wait $app
