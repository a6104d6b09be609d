#!/usr/bin/env bash
# deploy.sh RELEASE: the release that is unpacked as /srv/app/releases/RELEASE starts in the idle pool, gets the traffic when it is
# well and says that it is RELEASE, and loses it again if it does not answer through Sluice. Run it as root on the server.
set -euo pipefail
release=$1 app=${APP:-/srv/app} front=${FRONT:-http://127.0.0.1}
live=$(sluice status web --json | jq -r '.services[0].live')
if [ "$live" = blue ]; then idle=green; else idle=blue; fi

test -x "$app/releases/$release/start"
ln -sfn "releases/$release" "$app/$idle"
systemctl restart "app@$idle"   # nothing is inside of it: it was drained when it was flipped away
sluice flip web "$idle" --release "$release" --patience "${PATIENCE:-30s}" --by "${SUDO_USER:-deploy}" --note "deploy $release"
if ! curl -fs "$front/" | grep -q "$release"; then
  sluice rollback web --note "smoke test of $release failed"
  exit 1
fi
