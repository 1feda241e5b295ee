#!/usr/bin/env bash
# Written by `cargo monolift ci github` from app-split/deployment.toml. Change that file, and run the command again.
#
# What is checked of every change, whatever it reaches.
set -euo pipefail

cargo fmt --all --check
cargo monolift check --manifest app-split/deployment.toml
cargo monolift deploy docker --manifest app-split/deployment.toml --out app-split/deploy/docker --check
# A file that was begun with the option belongs to it.
mesh=()
if [ -d app-split/deploy/kubernetes/components/linkerd ]; then mesh=(--mesh linkerd); fi
cargo monolift deploy kubernetes --manifest app-split/deployment.toml --out app-split/deploy/kubernetes ${mesh[@]+"${mesh[@]}"} --check
cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
