#!/usr/bin/env bash
# start.sh POOL RELEASE: starts the servers of a pool, however you start yours; see systemd/ and compose/. Nothing is inside of them.
set -euo pipefail
declare -A ports=([blue]=3001 [green]=3002)
port=${ports[$1]} pid=run/$1.pid
if [ -f "$pid" ] && kill "$(cat "$pid")" 2>/dev/null; then
  while kill -0 "$(cat "$pid")" 2>/dev/null; do sleep 0.05; done
fi
PORT=$port RELEASE=${SAYS:-$2} PAGE=${PAGE:-$2} setsid node run/app.js >"run/$1.log" 2>&1 & echo $! >"$pid"
for _ in {1..100}; do curl -fs "http://127.0.0.1:$port/health" >/dev/null && exit 0; sleep 0.05; done
exit 1
