#!/usr/bin/env bash
# deploy.sh RELEASE: starts it in the idle pool and flips to it. Sluice checks that it is well, that it is RELEASE, and that
# it works with the schema that the database has; if not, the live release was never left.
set -euo pipefail
idle=$(sluice status web --json | jq -r '.services[0].pools[] | select(.live | not).name')
declare -A port=([blue]=3091 [green]=3092)
./stop.sh "$idle"
RELEASE=$1 PORT=${port[$idle]} app/app.py >"run/$idle.log" 2>&1 & echo $! >"run/$idle.pid"
sluice flip web "$idle" --release "$1" --patience 20s --note "deploy $1" || { ./stop.sh "$idle"; exit 1; }
