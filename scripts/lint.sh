#!/usr/bin/env bash
# usage: scripts/lint.sh [--changed|--all] [--seconds N] [--build-dir DIR]
#
# Runs clang-tidy-19 (.clang-tidy; every warning is an error) and shellcheck.
#   --changed        the layers changed since the base commit (default): every source of a folder in
#                    which a file differs, changed ones first; all when the base is unknown
#   --all            every source
#   --seconds N      start no further file after N seconds (default 240; 0: no limit); files left out
#                    are counted and are no failure
#   --build-dir DIR  a configured build with compile_commands.json (default build/dev)
# The base commit is where the branch left the main line, else HEAD~1; STUCKTRACE_BASE names another.
# Exit status: 0 clean, 1 findings, 125 could not run.
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

# One file, as a job of xargs below. Status 0 also when time is over: then the file is noted.
if [[ ${1:-} == --one-file ]]; then
  if ((LINT_DEADLINE > 0 && $(date +%s) >= LINT_DEADLINE)); then
    printf '%s\n' "$2" >>"$LINT_LEFT_OUT"
    exit 0
  fi
  # clang-tidy counts the warnings it suppressed in headers on stderr; only its findings matter.
  # -Wno-error: the build's -Werror is about the compiler's warnings, not about clang's.
  output=$(clang-tidy-19 --quiet --warnings-as-errors='*' --extra-arg=-Wno-error \
    -p "$LINT_BUILD_DIR" "$2" 2>&1) && exit 0
  printf '%s\n' "$output" | grep -Ev '^[0-9]+ warnings?( and [0-9]+ errors?)? generated|^Suppressed ' || true
  exit 1
fi

scope=changed
seconds=240
build_dir=$root/build/dev
while (($#)); do
  case $1 in
    --changed | --all) scope=${1#--} ;;
    --seconds) seconds=${2:?--seconds needs a number}; shift ;;
    --build-dir) build_dir=${2:?--build-dir needs a directory}; shift ;;
    --help | -h) show_help; exit 0 ;;
    *) usage_error "unknown argument: $1" ;;
  esac
  shift
done
[[ $seconds =~ ^[0-9]+$ ]] || usage_error "not a number: $seconds"
command -v clang-tidy-19 >/dev/null || die "clang-tidy-19 is not installed"
[[ -e $build_dir/compile_commands.json ]] || die "no compile_commands.json in $build_dir: configure first"
cd -- "$root"

# Changed C++ files, one a line. Fails when that cannot be known.
changed_files() {
  local base
  base=$(base_commit) || return 1
  {
    git diff --name-only --diff-filter=d "$base" --
    git ls-files --others --exclude-standard
  } | { grep -E '^\.clang-tidy$|\.(h|cc|inc)$' || true; } | sort -u
}

files=$(own_cxx_files | grep '\.cc$' || true)
if [[ $scope == changed ]]; then
  if ! changed=$(changed_files) || grep -qxF .clang-tidy <<<"$changed"; then
    scope=all
  else
    # Time may run out: what was changed itself comes first, then what shares a folder with it.
    folders=$(awk '{ sub("/[^/]*$", ""); print }' <<<"$changed" | sort -u)
    neighbours=$(awk -F / 'NR == FNR { folders[$0]; next }
      { folder = $0; sub("/[^/]*$", "", folder) } folder in folders' <(printf '%s\n' "$folders") - <<<"$files")
    files=$(
      grep -xF -f <(printf '%s\n' "$changed") <<<"$neighbours" || true
      grep -vxF -f <(printf '%s\n' "$changed") <<<"$neighbours" || true
    )
  fi
fi
# Only what the build knows: a source that no target compiles has no flags to check it with.
known=$(python3 -c '
import json, os, sys
root = os.getcwd()
for entry in json.load(open(sys.argv[1])):
    print(os.path.relpath(os.path.join(entry["directory"], entry["file"]), root))
' "$build_dir/compile_commands.json")
files=$(grep -xF -f <(printf '%s\n' "$known") <<<"$files" || true)

failed=0
LINT_LEFT_OUT=$(mktemp)
trap 'rm -f "$LINT_LEFT_OUT"' EXIT
export LINT_LEFT_OUT LINT_BUILD_DIR=$build_dir LINT_DEADLINE=0
((seconds == 0)) || LINT_DEADLINE=$(($(date +%s) + seconds))
total=$(grep -c . <<<"$files" || true)
if ((total)); then
  xargs -r -d '\n' -n 1 -P "$jobs" "${BASH_SOURCE[0]}" --one-file <<<"$files" || failed=1
fi
left_out=$(wc -l <"$LINT_LEFT_OUT")
note=
((left_out == 0)) || note="; the time limit of $seconds s was reached"
say "clang-tidy: $((total - left_out)) of $total sources checked ($scope)$note"

if command -v shellcheck >/dev/null; then
  mapfile -t shell_scripts < <(grep -lE '^#!.*\b(ba)?sh\b' scripts/* scripts/ci/* .ci/* 2>/dev/null || true)
  shellcheck -x --source-path=SCRIPTDIR "${shell_scripts[@]}" scripts/lib.sh \
    scripts/completions/stucktrace.bash || failed=1
fi
exit "$failed"
