#!/usr/bin/env bash
# Runs each example as its README says, with the sluice built from this tree first in PATH.
set -euo pipefail
cd "$(dirname "$0")"
export PATH=$PWD/..:$PATH
shellcheck -- *.sh */*.sh
for example in bluegreen rolling sidecar static expand-contract systemd compose ci; do
  echo "== example $example"
  "./$example/test.sh"
done
echo "== all examples passed"
