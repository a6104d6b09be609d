#!/usr/bin/env bash
# roll.sh RELEASE COMMAND…: brings a release to the servers of web, one after the other, and stops at the first that fails:
# then that one is out of rotation, the others go on, and the last line says how to go on.
set -euo pipefail
RELEASE=$1; shift
export RELEASE
sluice rollout web --release "$RELEASE" --timeout 10s --exec "./restart.sh $*"
