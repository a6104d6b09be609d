#!/usr/bin/env bash
# link.sh RELEASE BUILD: the classic way. Each release has a folder of its own, and a link says which one is served.
set -euo pipefail
release=$1 build=$2
cd run/docs
previous=$(readlink current || true)
cp -a "$build" "$release"
ln -sfn "$release" current
if ! curl -fs http://127.0.0.1:8080/docs/ | grep -q "$release"; then
  ln -sfn "$previous" current
  echo "smoke test of $release failed; $previous is served again"
  exit 1
fi
