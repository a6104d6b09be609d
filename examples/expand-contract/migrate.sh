#!/usr/bin/env bash
# migrate.sh NAME [RELEASE]: a migration that RELEASE does not work with: it begins when Sluice says that nothing serves that
# release any more, and from then on nothing will.
set -euo pipefail
if [ -n "${2:-}" ]; then
  read -r idle there < <(sluice status web --json | jq -r '.services[0].pools[] | select(.live | not) | "\(.name) \(.release)"')
  [ "$there" != "$2" ] || ./stop.sh "$idle"
  sluice retire web "$2" --wait 60s --note "before the migration $1"
fi
app/migrate.py "$1"
