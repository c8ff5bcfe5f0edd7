# Bash completion for stucktrace.
# shellcheck shell=bash

# Names from the index of the demos that were installed, or built, with the program.
_stucktrace_demos() {
  local program index
  program=$(command -v -- "$1") && program=$(readlink -f -- "$program") || return 0
  for index in "${program%/*}"/{target,../libexec/stucktrace/target}/targets.tsv; do
    [[ ! -r $index ]] || { awk -F '\t' '!/^#/ { print $1 }' "$index"; return 0; }
  done
}

# Pids of processes with a command line; kernel threads have none.
_stucktrace_pids() {
  local directory
  for directory in /proc/[0-9]*; do
    read -r -n 1 -d '' <"$directory/cmdline" && printf '%s\n' "${directory#/proc/}"
  done 2>/dev/null
}

_stucktrace() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local commands='run attach explain watch demo replay compare export syscalls doctor'
  local common='--json --color --quiet --verbose --help'
  local reports='--junit --sarif --html'
  local tracing='--output --stuck-after --settle --announce --attach-mode --payload'
  tracing+=' --summary --placement --fast-idle --ring --stacks-at'
  local command='' place=0 index
  COMPREPLY=()

  for ((index = 1; index < COMP_CWORD; ++index)); do
    if [[ ${COMP_WORDS[index]} != -* ]]; then
      command=${COMP_WORDS[index]}
      place=$index
      break
    fi
  done
  if [[ -z $command ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$current")
    return
  fi

  # After --, or after run's first word, the traced command's own completion takes over.
  if [[ $command == run ]]; then
    for ((index = place + 1; index < COMP_CWORD; ++index)); do
      [[ ${COMP_WORDS[index]} == -- ]] || continue
      if declare -F _command_offset >/dev/null; then
        _command_offset $((index + 1))
      else
        mapfile -t COMPREPLY < <(compgen -c -- "$current")
      fi
      return
    done
  fi

  # An option with its value arrives as three words, since = is in COMP_WORDBREAKS.
  if [[ $current == = ]]; then
    current=
  elif [[ $previous == = ]]; then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  case $previous in
    -o | --output | --json | --baseline | --junit | --sarif | --html)
      [[ $previous == --json && ${COMP_WORDS[COMP_CWORD - 1]} != = ]] || {
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
      }
      ;;
    --attach-mode) mapfile -t COMPREPLY < <(compgen -W 'seize attach' -- "$current"); return ;;
    -k | --stacks-at) mapfile -t COMPREPLY < <(compgen -W 'blocked write futex' -- "$current"); return ;;
    --placement) mapfile -t COMPREPLY < <(compgen -W 'auto local normal' -- "$current"); return ;;
    --payload) mapfile -t COMPREPLY < <(compgen -W 'none text all' -- "$current"); return ;;
    --level) mapfile -t COMPREPLY < <(compgen -W 'structure effects calls' -- "$current"); return ;;
    --format)
      mapfile -t COMPREPLY < <(compgen -W 'text strace json ndjson perfetto html dot junit sarif markdown' \
        -- "$current")
      return
      ;;
    --abi) mapfile -t COMPREPLY < <(compgen -W 'x86_64 i386 x32 aarch64' -- "$current"); return ;;
    --color) mapfile -t COMPREPLY < <(compgen -W 'auto always never' -- "$current"); return ;;
    --fail-on) mapfile -t COMPREPLY < <(compgen -W 'stuck deadlock none' -- "$current"); return ;;
    --deadline | --idle | --grace) return ;;
    -e | --stuck-after | --announce | --for | --settle | --timeout | --interval | --normalise | --assert) return ;;
  esac

  local options=$common golden='--update --level --normalise --assert'
  case $command in
    run)
      options+=" $tracing $reports --no-seccomp --kill-on-exit --baseline --for-compare $golden"
      options+=" --deadline --idle --grace --fail-on --close-orphans"
      ;;
    attach) options+=" $tracing $reports --for --until-stuck --no-children" ;;
    explain) options+=" $reports --tree --all --timeout --stacks --native --allow-stop --stuck-after --settle --announce" ;;
    watch) options="--color --help --interval --exit --stuck-after --settle --announce" ;;
    demo) options+=" $tracing $reports --healthy" ;;
    replay) options+=" $reports --announce" ;;
    compare) options+=" $golden $reports" ;;
    export) options="--format --output --help" ;;
    syscalls) options+=" --abi" ;;
  esac
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
    return
  fi
  case $command in
    run) mapfile -t COMPREPLY < <(compgen -c -- "$current") ;;
    attach | explain | watch | doctor) mapfile -t COMPREPLY < <(compgen -W "$(_stucktrace_pids)" -- "$current") ;;
    demo) mapfile -t COMPREPLY < <(compgen -W "$(_stucktrace_demos "${COMP_WORDS[0]}")" -- "$current") ;;
    replay | compare | export) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
  esac
}

complete -o filenames -F _stucktrace stucktrace
