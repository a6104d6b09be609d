#!/usr/bin/env bash
# update.sh: brings SLUICE_RELEASE to the server at SLUICE_PORT, of which nothing is inside. However you do that: ssh "$SLUICE_HOST" …
set -euo pipefail
[ "$SLUICE_RELEASE" != "${BROKEN:-}" ]   # the test has one that cannot be installed
pid=run/$SLUICE_PORT.pid
if [ -f "$pid" ] && kill "$(cat "$pid")" 2>/dev/null; then
  while kill -0 "$(cat "$pid")" 2>/dev/null; do sleep 0.05; done
fi
PORT=$SLUICE_PORT RELEASE=$SLUICE_RELEASE PAGE=$SLUICE_RELEASE setsid node run/app.js >"run/$SLUICE_PORT.log" 2>&1 & echo $! >"$pid"
