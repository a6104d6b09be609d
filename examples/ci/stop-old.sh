#!/usr/bin/env bash
# stop-old.sh COMMAND…: runs COMMAND POOL RELEASE, which stops the servers of the release before, once nothing is inside of them and
# nobody would roll back to them any more, which is WINDOW after the flip. It waits for that up to WAIT seconds.
# Exit codes: 0 done, or nothing runs there; 1 they are still needed; 3 nobody can say.
set -euo pipefail
service=${SERVICE:-web} socket=${SLUICE_ADMIN:-unix:///run/sluice/admin.sock} end=$((SECONDS + ${WAIT:-0}))
api() { curl -fsS --unix-socket "${socket#unix://}" "http://sluice/v1/$1"; }
status=$(api status) || exit 3
before=$(jq -r --arg s "$service" '.services[] | select(.name == $s) | .previous as $p | .pools[] | select(.name == $p) | .name + " " + (.release // "")' <<<"$status")
read -r pool release <<<"$before" || true
if [ -z "${release:-}" ]; then echo "no release runs beside the live one"; exit 0; fi
while true; do
  answer=$(api "services/$service/hold/$release?window=${WINDOW:-30m}") || exit 3
  if [ "$(jq .hold <<<"$answer")" = false ]; then break; fi
  if [ $SECONDS -ge $end ]; then jq -r '"\(.release) is still needed: \(.why)"' <<<"$answer"; exit 1; fi
  sleep 1
done
"$@" "$pool" "$release"
