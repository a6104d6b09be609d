#!/usr/bin/env bash
# roll.sh RELEASE: the same for servers that are updated where they stand, one after the other. UPDATE is run for each, with
# SLUICE_HOST, SLUICE_PORT and SLUICE_RELEASE set; twice is to be like once. Exit codes as deploy.sh has them. A rollout that was left in
# the middle, as the pipeline died, is taken up where it stands.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
release=${1:?which release} service=${SERVICE:-web} update=${UPDATE:-$here/update.sh}

left=$(sluice rollout "$service" --show --json 2>/dev/null | jq -r 'select(.status == "running" or .status == "reverting") | .id + " " + (.release // "")')
if read -r id its <<<"$left" && [ -n "$id" ]; then
  sluice rollout "$service" --resume "$id" --exec "$update" || exit
  if [ "$its" = "$release" ]; then exit 0; fi
fi
sluice rollout "$service" --release "$release" --exec "$update" --on-failure revert --max-cut "${MAX_CUT:-0}" --lease "${LEASE:-10s}" \
  --note "deploy $release${RUN_URL:+, $RUN_URL}"
