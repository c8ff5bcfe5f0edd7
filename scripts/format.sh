#!/usr/bin/env bash
# usage: scripts/format.sh [--check]
#
# Formats the project's C++ files with clang-format-19. With --check changes nothing, names the files
# that would change and exits with 1 if there are any.
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

check=0
case ${1:-} in
  '') ;;
  --check) check=1 ;;
  --help | -h) show_help; exit 0 ;;
  *) usage_error "unknown argument: $1" ;;
esac

formatter=$(command -v clang-format-19) || die "clang-format-19 is not installed"
cd -- "$root"
if ((!check)); then
  own_cxx_files | xargs -r -d '\n' -n 20 -P "$jobs" "$formatter" -i
  exit
fi
# One line a file, as others print it: name, and where the first difference is.
differing=$(own_cxx_files | xargs -r -d '\n' -n 20 -P "$jobs" "$formatter" --dry-run 2>&1 |
  grep -E '^[^ ]+:[0-9]+:[0-9]+: ' | sort -t : -k 1,1 -u || true)
[[ -z $differing ]] || {
  printf '%s\n' "$differing"
  say "$(wc -l <<<"$differing") file(s) to format: scripts/format.sh does it"
  exit 1
}
