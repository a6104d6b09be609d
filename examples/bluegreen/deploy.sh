#!/usr/bin/env bash
# deploy.sh RELEASE COMMAND…: starts a release in the idle pool, tests it there, flips to it, and rolls back on failure.
set -euo pipefail
release=$1 front=http://127.0.0.1:8080 preview=http://127.0.0.1:8081; shift
live=$(sluice status web --json | jq -r '.services[0].live')
if [ "$live" = blue ]; then idle=green port=3002; else idle=blue port=3001; fi

echo "$release goes to $idle on port $port; $live goes on serving"
if [ -f "run/$port.pid" ] && kill "$(cat "run/$port.pid")" 2>/dev/null; then sleep 0.5; fi
PORT=$port RELEASE=$release "$@" >"run/$port.log" 2>&1 & echo $! >"run/$port.pid"

for _ in {1..50}; do curl -fs "$preview/health" >run/health.json && break; sleep 0.2; done
jq -en --arg v "$release" 'input | .status == "ok" and .version == $v' run/health.json >/dev/null 2>&1 || { echo "not healthy as $release: $(cat run/health.json)"; exit 1; }
curl -fs "$preview/" | grep -q "$release" || { echo "smoke test failed; $live was never left"; exit 1; }

sluice flip web "$idle" --release "$release" --by "${USER:-deploy}" --note "deploy $release"
if ! curl -fs "$front/" | grep -q "$release"; then
  sluice rollback web --note "smoke test failed after the flip"
  exit 1
fi
echo "$release is live; sluice rollback web brings back the one before"
