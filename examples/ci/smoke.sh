#!/usr/bin/env bash
# smoke.sh URL RELEASE: whether what is live answers as RELEASE. Ask for what your users do.
set -euo pipefail
curl -fsS --max-time 10 "$1/" | grep -q "$2"
