#!/usr/bin/env bash
# Written by `cargo monolift ci github` from app-split/deployment.toml. Change that file, and run the command again.
#
# Says which processes are built and which packages are tested. BASE is the revision to compare with.
set -euo pipefail

since=()
# A revision that is not there, as before the first release, means all.
if git rev-parse --quiet --verify "${BASE:-}^{commit}" >/dev/null; then
    since=(--since "$BASE")
fi
affected() {
    cargo monolift affected --manifest app-split/deployment.toml ${since[@]+"${since[@]}"} "$@"
}

affected
processes=$(affected --names)
packages=$(affected --packages)
matrix=""
for process in $processes; do
    matrix="$matrix${matrix:+, }\"$process\""
done
{
    # On one line each.
    echo "processes=$(echo $processes)"
    echo "packages=$(echo $packages)"
    echo "matrix=[$matrix]"
} >> "${GITHUB_OUTPUT:-/dev/stdout}"
