#!/usr/bin/env bash
# job.sh RELEASE COMMAND…: runs a job beside the app, of which Sluice knows by its lease only: RELEASE is not retired meanwhile.
set -euo pipefail
lease=(sluice lease "job-$$" --service web --release "$1" --ttl 60s); shift
"${lease[@]}"   # refused: RELEASE is retired, and must not run
while sleep 20; do "${lease[@]}"; done >/dev/null 2>&1 & renewal=$!
trap 'kill $renewal; sluice lease "job-$$" --drop' EXIT
"$@"
