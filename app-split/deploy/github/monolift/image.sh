#!/usr/bin/env bash
# Written by `cargo monolift ci github` from app-split/deployment.toml. Change that file, and run the command again.
#
# Builds the image of one process, and pushes it to REGISTRY as TAG. Layers with compiled dependencies are kept there too.
set -euo pipefail

process=$1
image="$REGISTRY/shop-${process//_/-}"
docker buildx build --file app-split/deploy/docker/Dockerfile --build-arg "PROCESS=$process" \
    --cache-from "type=registry,ref=$image:cache" --cache-to "type=registry,ref=$image:cache,mode=max" \
    --tag "$image:$TAG" --push .
