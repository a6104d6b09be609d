#!/usr/bin/env bash
# over-ssh.sh RELEASE: runs deploy.sh on $HOST, where it lies in $DIR, and passes on its exit code. A connection that breaks (255) says
# nothing of what has happened there, and neither does exit code 3: so it is run again, which finds what the first run did.
set -uo pipefail
release=${1:?which release}
by=${GITHUB_TRIGGERING_ACTOR:-${GITHUB_ACTOR:-${USER:-ci}}} url=${GITHUB_SERVER_URL:-}/${GITHUB_REPOSITORY:-}/actions/runs/${GITHUB_RUN_ID:-}
there() { printf '%q ' cd "${DIR:-/srv/deploy}"; printf '&& '; printf '%q ' env "$@"; }
command=$(there "SLUICE_BY=$by" "SLUICE_COMMIT=${GITHUB_SHA:-}" "RUN_URL=$url" "GITHUB_RUN_ID=${GITHUB_RUN_ID:-$$}" ./deploy.sh "$release")
code=3
for _ in 1 2 3; do
  ssh -o BatchMode=yes -o ServerAliveInterval=5 "${HOST:?which server}" "$command" && code=0 || code=$?
  if [ "$code" != 255 ] && [ "$code" != 3 ]; then exit "$code"; fi
  echo "not known yet (exit code $code), once more" >&2
  sleep "${PAUSE:-5}"
done
exit 3
