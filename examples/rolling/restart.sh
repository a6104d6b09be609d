#!/usr/bin/env bash
# restart.sh COMMAND…: one server gets the release. Nothing is inside of it any more; that it is well is looked at afterwards.
set -euo pipefail
kill "$(cat "run/$SLUICE_PORT.pid")" 2>/dev/null || true   # however you stop yours: systemctl, docker, ssh $SLUICE_HOST
while kill -0 "$(cat "run/$SLUICE_PORT.pid")" 2>/dev/null; do sleep 0.1; done
PORT=$SLUICE_PORT RELEASE=$SLUICE_RELEASE "$@" >"run/$SLUICE_PORT.log" 2>&1 & echo $! >"run/$SLUICE_PORT.pid"
