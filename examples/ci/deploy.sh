#!/usr/bin/env bash
# deploy.sh RELEASE: what a pipeline runs on the server, again and again if need be: each step finds what the one before has done.
#   exit 0  RELEASE is live
#   exit 1  refused or failed: the release before is live, or RELEASE is and the message says what was cut on the way
#   exit 2  a command here is written wrongly
#   exit 3  nobody can say: run it again
# START POOL RELEASE starts the servers of a pool; SMOKE URL RELEASE tests what is live.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
release=${1:?which release} service=${SERVICE:-web} front=${FRONT:-http://127.0.0.1}
start=${START:-$here/start.sh} smoke=${SMOKE:-$here/smoke.sh} config=${CONFIG:-/etc/sluice/sluice.yaml}
note="deploy $release${RUN_URL:+, $RUN_URL}"   # who and which commit: SLUICE_BY and SLUICE_COMMIT, or what the pipeline itself says

# certain COMMAND…: asks again while the outcome is unknown. With --key the change is made once, however often it is asked for.
certain() {
  local code
  for _ in 1 2 3; do
    "$@" && code=0 || code=$?
    if [ "$code" != 3 ]; then return "$code"; fi
    echo "not known yet, asking again" >&2
  done
  return 3
}
key=${GITHUB_RUN_ID:-$$}.${GITHUB_RUN_ATTEMPT:-1}-$release

sluice check "$config" >/dev/null || exit
status=$(certain sluice status "$service" --json) || exit
live=$(jq -r '.services[0].live' <<<"$status")
if [ "$live" = blue ]; then idle=green; else idle=blue; fi

verdict=0
if [ "$(jq -r '.services[0].release' <<<"$status")" = "$release" ]; then
  echo "$release is live in $live already"; idle=$live
else
  "$start" "$idle" "$release" || { echo "$release does not start; $live was never left"; exit 1; }
  answer=$(certain sluice flip "$service" "$idle" --release "$release" --patience "${PATIENCE:-60s}" --timeout "${TIMEOUT:-2m}" \
    --max-cut "${MAX_CUT:-0}" --key "$key" --note "$note" --json)
  code=$?
  case $code:$(jq -rs 'last | (.problem // .).type // ""' <<<"$answer" 2>/dev/null) in
    0:*) echo "$release is live in $idle" ;;
    1:*:cut) verdict=1; echo "$release is live in $idle, but $(jq -rs 'last.problem.detail' <<<"$answer")" ;;
    *) jq -rs 'last | (.problem // .) | .detail // empty, .hint // empty' <<<"$answer"; exit "$code" ;;
  esac
fi

if ! "$smoke" "$front" "$release"; then
  echo "the smoke test of $release failed"
  certain sluice rollback "$service" --timeout "${TIMEOUT:-2m}" --note "smoke test of $release failed" || exit
  exit 1
fi
exit "$verdict"
