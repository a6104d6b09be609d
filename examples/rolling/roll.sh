#!/usr/bin/env bash
# roll.sh RELEASE COMMAND…: brings a release to three servers, one after the other, and stops at the first that fails:
# then one server is out of rotation and the others go on with the release before.
set -euo pipefail
release=$1; shift
for port in 3001 3002 3003; do
  backend=127.0.0.1:$port
  sluice drain web $backend --wait                       # no new requests; returns when nothing is inside
  kill "$(cat "run/$port.pid")" 2>/dev/null || true      # however you stop yours: systemctl, docker, ssh
  while kill -0 "$(cat "run/$port.pid")" 2>/dev/null; do sleep 0.1; done
  PORT=$port RELEASE=$release "$@" >"run/$port.log" 2>&1 & echo $! >"run/$port.pid"

  for _ in {1..25}; do curl -fs "http://$backend/health" >run/health.json && break; sleep 0.2; done
  if ! jq -en --arg v "$release" 'input | .status == "ok" and .version == $v' run/health.json >/dev/null 2>&1; then
    echo "$backend is not healthy as $release; it stays drained, the others go on. Put it right, then: sluice ready web $backend" >&2
    exit 1
  fi
  sluice ready web $backend --wait --timeout 30s          # back in rotation, after a check of Sluice's own
done
