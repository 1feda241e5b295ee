#!/usr/bin/env bash
# Written by `cargo monolift ci github` from app-split/deployment.toml. Change that file, and run the command again.
#
# Releases PROCESSES, separated by spaces, with the images REGISTRY/shop-PROCESS:TAG: migrates, updates one process after
# another, watches for WATCH seconds, and rolls back what fails. The others keep the images that they have.
set -euo pipefail

# Those that are called before those that call.
order="payments stock users orders notifications reports gateway"
jobs="payments stock users orders notifications reports"
stateful=""
overlay=${OVERLAY:-app-split/deploy/kubernetes/overlays/production}
export NAMESPACE=${NAMESPACE:-shop-production}
watch=${WATCH:-300}
# How often what is waited for is looked at, in seconds.
every=${EVERY:-5}

is_in() { case " $2 " in *" $1 "*) true ;; *) false ;; esac; }
host() { echo "${1//_/-}"; }
workload() {
    if is_in "$1" "$stateful"; then echo "statefulset/shop-$(host "$1")"; else echo "deployment/shop-$(host "$1")"; fi
}

for process in $PROCESSES; do
    if ! is_in "$process" "$order"; then
        echo "there is no process $process: $order" >&2
        exit 2
    fi
done
wanted=""
for process in $order; do
    if is_in "$process" "$PROCESSES"; then wanted="$wanted $process"; fi
done
components=$(for process in $order; do host "$process"; done | paste -sd, -)

rendered=$(mktemp -d)
trap 'rm -rf "$rendered"' EXIT
# The images of this release, wherever an overlay has those of an application from.
render() {
    kubectl kustomize "$1" |
        sed -E "s#image: ([^ ]*/)?(shop-($(echo "$components" | tr , '|')))(:[^ ]*)?\$#image: $REGISTRY/\2:$TAG#"
}
render "$overlay" > "$rendered/all.yaml"

applied() {
    kubectl apply --namespace "$NAMESPACE" --selector "$1" --filename "$2"
}

# Settings, policies, and what else belongs to no process.
applied "app.kubernetes.io/component notin ($components)" "$rendered/all.yaml"

for process in $wanted; do
    if ! is_in "$process" "$jobs"; then continue; fi
    job="shop-$(host "$process")-migrate"
    if [ ! -f "$rendered/migrate.yaml" ]; then render "$overlay/migrate" > "$rendered/migrate.yaml"; fi
    echo "==> $job"
    # A job cannot be changed.
    kubectl delete job "$job" --namespace "$NAMESPACE" --ignore-not-found
    applied "app.kubernetes.io/component=$(host "$process")-migrate" "$rendered/migrate.yaml"
    while true; do
        ended=$(kubectl get job "$job" --namespace "$NAMESPACE" --output 'jsonpath={.status.conditions[?(@.status=="True")].type}')
        case "$ended" in
            *Fail*) echo "$job has failed; nothing is released" >&2; exit 1 ;;
            *Complete*) break ;;
        esac
        sleep "$every"
    done
done

updated=""
roll_back() {
    echo "==> rolling back: $1" >&2
    # The other way round: those that call before those that are called.
    for process in $updated; do
        kubectl rollout undo "$(workload "$process")" --namespace "$NAMESPACE" ||
            echo "$process has no release before" >&2
        kubectl rollout status "$(workload "$process")" --namespace "$NAMESPACE" --timeout 10m || true
    done
    exit 1
}

for process in $wanted; do
    echo "==> $process"
    updated="$process $updated"
    applied "app.kubernetes.io/component=$(host "$process")" "$rendered/all.yaml" || roll_back "$process is refused"
    kubectl rollout status "$(workload "$process")" --namespace "$NAMESPACE" --timeout 10m ||
        roll_back "$process did not become ready"
done

echo "==> watching for $watch s"
until=$((SECONDS + watch))
while [ "$SECONDS" -lt "$until" ]; do
    for process in $wanted; do
        # A process that is just being scaled has some time for that.
        kubectl rollout status "$(workload "$process")" --namespace "$NAMESPACE" --timeout 2m ||
            roll_back "$process is no longer ready"
    done
    if [ -n "${PROMETHEUS:-}" ]; then
        firing=$(curl --fail --silent --show-error --get "$PROMETHEUS/api/v1/query" \
            --data-urlencode 'query=count(ALERTS{alertstate="firing",alertname=~"Monolift.*"})') ||
            roll_back "Prometheus does not answer"
        case "$firing" in
            *'"result":[]'*) ;;
            *) roll_back "an alert fires: $firing" ;;
        esac
    fi
    sleep "$every"
done
echo "released:$wanted"
