# Shared by the scripts here; sourced, never run. Sets strict mode, the repository's root as `root`
# and a number of parallel jobs as `jobs`.
# shellcheck shell=bash
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
jobs=$(nproc 2>/dev/null || echo 2)
export root jobs

# The header comment of the calling script is its help text: from line 2 to the first line that is
# no comment.
show_help() {
  sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"
}

say() { printf '%s\n' "$*" >&2; }

die() {
  say "$(basename -- "$0"): $*"
  exit 125
}

usage_error() { die "$* (see --help)"; }

# The Debian packages of the named groups (packages.txt), one a line.
packages_of() {
  local group
  for group in "$@"; do
    awk -v group="$group" '!/^#/ && $2 == group { print $1 }' "$root/scripts/packages.txt"
  done
}

is_installed() {
  [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# Installs what is absent of the named groups, asks nothing. With nothing absent it needs neither
# root nor network.
install_packages() {
  local absent=() package as_root=()
  command -v dpkg-query >/dev/null || die "not a Debian system: install by hand $(packages_of "$@" | xargs)"
  while read -r package; do
    is_installed "$package" || absent+=("$package")
  done < <(packages_of "$@")
  ((${#absent[@]})) || return 0

  say "installing: ${absent[*]}"
  if ((EUID != 0)); then
    sudo -n true 2>/dev/null || die "need root to install; run as root: apt-get install ${absent[*]}"
    as_root=(sudo -n)
  fi
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300
    -o Acquire::Retries=3)
  "${as_root[@]}" "${apt[@]}" update >&2
  "${as_root[@]}" "${apt[@]}" install --no-install-recommends "${absent[@]}" >&2 </dev/null
}

# The project's own C++ files, relative to the root: tracked or new, never ignored ones. Without git
# (a source archive) whatever lies in the source folders.
own_cxx_files() {
  (
    cd -- "$root"
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
      git ls-files --cached --others --exclude-standard -- '*.h' '*.cc' | sort -u | while read -r file; do
        [[ ! -e $file ]] || printf '%s\n' "$file"
      done
    else
      find tracer syscalls target tests -name '*.h' -o -name '*.cc' | sort
    fi
  )
}

# The commit to compare with: where this branch left the main line, else the commit before. Fails
# when history is too short to know.
base_commit() {
  (
    cd -- "$root"
    local upstream base head
    head=$(git rev-parse --verify -q HEAD) || return 1
    for upstream in "${STUCKTRACE_BASE:-}" origin/HEAD origin/main origin/master main master; do
      [[ -n $upstream ]] || continue
      base=$(git merge-base "$upstream" HEAD 2>/dev/null) || continue
      [[ $base == "$head" ]] || { printf '%s\n' "$base"; return 0; }
    done
    git rev-parse --verify -q HEAD~1
  )
}
