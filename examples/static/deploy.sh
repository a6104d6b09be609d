#!/usr/bin/env bash
# deploy.sh RELEASE BUILD: copies a built site to the idle folder, flips to it, and rolls back if it is not what it should be.
set -euo pipefail
release=$1 build=$2
live=$(sluice status web --json | jq -r '.services[0].live')
if [ "$live" = blue ]; then idle=green; else idle=blue; fi

rm -rf "run/$idle" && cp -a "$build" "run/$idle" && echo "$release" >"run/$idle/.release"
sluice flip web "$idle" --release "$release" --note "deploy $release"
if ! curl -fs http://127.0.0.1:8080/ | grep -q "$release"; then
  sluice rollback web --note "smoke test of $release failed"
  exit 1
fi
