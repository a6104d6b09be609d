#!/usr/bin/env bash
# deploy.sh RELEASE: starts as many containers of a release as there are of the live one, in the idle service; flips to them when all
# are well and say that they are RELEASE, and rolls back if Sluice does not answer with it. The old ones stay, for a rollback, until
# the next deployment takes their place.
set -euo pipefail
cd "$(dirname "$0")"
release=$1 front=${FRONT:-http://127.0.0.1}
sluice() { docker compose exec -T sluice /sluice "$@"; }
remember() { touch .env; sed -i "/^$1=/d" .env; echo "$1=$2" >>.env; }   # so that every later `up` means the same

live=$(sluice status web --json | jq -r '.services[0].live')
if [ "$live" = blue ]; then idle=green; else idle=blue; fi
remember "${idle^^}_RELEASE" "$release"
remember "${idle^^}_SCALE" "$(docker compose ps -q "$live" | wc -l)"
docker compose up -d --no-deps "$idle"

sluice flip web "$idle" --release "$release" --patience "${PATIENCE:-60s}" --by "${USER:-deploy}" --note "deploy $release"
if ! curl -fs "$front/" | grep -q "$release"; then
  sluice rollback web --note "smoke test of $release failed"
  exit 1
fi
