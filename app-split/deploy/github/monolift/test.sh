#!/usr/bin/env bash
# Written by `cargo monolift ci github` from app-split/deployment.toml. Change that file, and run the command again.
#
# Tests the PACKAGES that a change reaches, separated by spaces.
set -euo pipefail

if [ -z "${PACKAGES:-}" ]; then
    echo "no tests are reached"
    exit 0
fi
options=()
for package in $PACKAGES; do
    options+=(-p "$package")
done
cargo test --locked "${options[@]}"
