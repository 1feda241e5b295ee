#!/usr/bin/env bash
# Written by `cargo monolift ci github` from app-split/deployment.toml. Change that file, and run the command again.
#
# What is checked of every change, whatever it reaches.
set -euo pipefail

cargo fmt --all --check
cargo monolift check --manifest app-split/deployment.toml
cargo monolift deploy docker --manifest app-split/deployment.toml --out app-split/deploy/docker --check
# The files show which options they were written with.
options=()
if [ -d app-split/deploy/kubernetes/components/linkerd ]; then options+=(--mesh linkerd); fi
if [ -f app-split/deploy/kubernetes/base/route.yaml ]; then options+=(--gateway-api); fi
cargo monolift deploy kubernetes --manifest app-split/deployment.toml --out app-split/deploy/kubernetes ${options[@]+"${options[@]}"} --check
cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
