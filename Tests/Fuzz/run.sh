#!/usr/bin/env bash
# Runs libFuzzer on each property, under AddressSanitizer. As many properties run at once as there are processors.
#
#   run.sh [-r RUNS] [-s SECONDS] [PROPERTY...]     without names: all of them
#
# An input that breaks a property goes to Failures/PROPERTY. From then on, 'make test' checks it. libFuzzer's own corpora are in
# .build-fuzz and grow there. The corpora in the repository stay small and are written by hand.
set -euo pipefail
cd "$(dirname "$0")/../.."
fuzz=Tests/Fuzz
build=.build-fuzz

declare -A product=(
    [data]=fuzz-mail [commands]=fuzz-mail [header]=fuzz-mail [from]=fuzz-mail [parts]=fuzz-mail [readable]=fuzz-mail
    [address]=fuzz-mail [compose]=fuzz-mail
    [sasl]=fuzz-mail [tls]=fuzz-tls [settings]=fuzz-services [answer]=fuzz-services
    [proxy]=fuzz-services [json]=fuzz-services [request]=fuzz-services [template]=fuzz-services [event]=fuzz-services [dns]=fuzz-services
)
# The most octets of an input, for each property. This is enough for the mistakes and the limits that the property checks.
declare -A length=(
    [data]=96 [commands]=2500 [header]=2500 [from]=160 [parts]=2500 [readable]=1500 [address]=300 [compose]=2500 [sasl]=128 [tls]=1024 [settings]=1024 [answer]=512
    [proxy]=300 [json]=256 [request]=1024 [template]=400 [event]=1500 [dns]=512
)

limits=()
while getopts r:s: option; do
    case $option in
        r) limits+=("-runs=$OPTARG") ;;
        s) limits+=("-max_total_time=$OPTARG") ;;
        *) exit 64 ;;
    esac
done
shift $((OPTIND - 1))
properties=("$@")
[ $# -gt 0 ] || properties=(data commands header from parts readable address compose sasl tls settings answer proxy json request template event dns)

for name in "${properties[@]}"; do
    [ -n "${product[$name]:-}" ] || { echo "there is no property $name; there are: ${!product[*]}" >&2; exit 64; }
done
for wanted in $(for name in "${properties[@]}"; do echo "${product[$name]}"; done | sort -u); do
    ${SWIFT:-swift} build --package-path $fuzz --scratch-path $build -c release --product "$wanted" \
        --sanitize address -Xswiftc -sanitize=fuzzer -Xcc -fsanitize=fuzzer-no-link -Xswiftc -enable-testing
done

# AddressSanitizer keeps a short call stack for each allocation. Failing inputs are kept, so they can be run again with a longer
# one.
export ASAN_OPTIONS=malloc_context_size=1:quarantine_size_mb=8:detect_stack_use_after_return=0
hold() {
    local name=$1 grown=$build/corpus/$1 log=$build/$1.log
    mkdir -p "$grown" "$fuzz/Failures/$name"
    local seeds=("$fuzz/Corpus/$name" "$fuzz/Failures/$name")
    [ "$name" != settings ] || seeds+=(Tests/SettingsTests/Fixtures etc)
    local options=("-max_len=${length[$name]}" -timeout=30 -rss_limit_mb=2048 -print_final_stats=1 "${limits[@]}")
    [ ! -f "$fuzz/Dictionaries/$name.dict" ] || options+=("-dict=$fuzz/Dictionaries/$name.dict")
    rm -f "$build/$name.holds"
    if FUZZ_PROPERTY=$name "$build/release/${product[$name]}" "${options[@]}" -artifact_prefix="$fuzz/Failures/$name/" \
        "$grown" "${seeds[@]}" >"$log" 2>&1; then
        touch "$build/$name.holds"
    else
        grep -a -A 20 -m 1 'Fatal error\|ERROR: ' "$log" || tail -n 20 "$log"
    fi
    rmdir --ignore-fail-on-non-empty "$fuzz/Failures/$name"
    echo "$name: $(grep -a 'number_of_executed_units' "$log" | awk '{ print $2 }') runs," \
        "$(grep -a -o 'cov: [0-9]*' "$log" | tail -n 1)"
}

# As many properties run at once as there are processors, because each uses one.
running=0
for name in "${properties[@]}"; do
    if [ $running = "$(nproc)" ]; then
        # The file $name.holds shows that a property holds. The exit status is not used.
        wait -n || true
        running=$((running - 1))
    fi
    hold "$name" &
    running=$((running + 1))
done
wait
failed=()
for name in "${properties[@]}"; do
    [ -f "$build/$name.holds" ] || failed+=("$name")
done
[ ${#failed[@]} = 0 ] || { echo "does not hold: ${failed[*]}; the input is in $fuzz/Failures" >&2; exit 1; }
