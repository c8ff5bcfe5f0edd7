#compdef stucktrace
# Zsh completion for stucktrace.

# Names and descriptions from the index of the demos that were installed, or built, with the program.
_stucktrace_demos() {
  local program=${${:-=stucktrace}:A} index line
  local -a demos fields
  for index in ${program:h}/target/targets.tsv ${program:h:h}/libexec/stucktrace/target/targets.tsv; do
    [[ -r $index ]] || continue
    for line in ${(f)"$(<$index)"}; do
      [[ $line == \#* ]] && continue
      fields=("${(@ps:\t:)line}")
      demos+=("${fields[1]}:${fields[4]//:/\\:}")
    done
    break
  done
  _describe demo demos
}

_stucktrace() {
  local -a commands common tracing
  commands=(
    'run:start a command under the tracer'
    'attach:attach to live processes'
    'explain:tell why live processes are stuck, stop nothing'
    'watch:show the live tree in the terminal'
    'demo:run a bundled program that gets stuck'
    'replay:print timeline and findings of a recording'
    'compare:compare two recordings'
    'syscalls:print the table of system calls'
    'doctor:tell whether a process can be traced'
  )
  common=(
    '--json=-[the report as JSON on stdout or to a file]::file:_files'
    '--color=[colours]:when:(auto always never)'
    '(-q --quiet)'{-q,--quiet}'[only findings]'
    '(-v --verbose)'{-v,--verbose}'[more]'
    '(-h --help)'{-h,--help}'[print the usage]'
  )
  tracing=(
    '(-o --output)'{-o+,--output=}'[record to a file]:file:_files'
    '-e+[what becomes visible]:trace=SET:'
    '--stuck-after=[look into waits this old]:time:'
    '--settle=[time between the samples]:time:'
    '*--announce=[output that announces completion]:regex:'
    '--attach-mode=[kind of ptrace]:mode:(seize attach)'
    '--payload=[bytes of buffers to keep]:what:(none text all)'
    '(-c --summary)'{-c,--summary}'[count calls in place of the timeline]'
    '--placement=[CPU of the tracer]:where:(auto local normal)'
    '--fast-idle[keep idle CPUs awake]'
  )

  local curcontext=$curcontext state
  _arguments -C '(- *)'{-h,--help}'[print the usage]' '(- *)--version[print the version]' \
    '1:command:->command' '*::argument:->argument'
  if [[ $state == command ]]; then
    _describe command commands
    return
  fi
  case $words[1] in
    run)
      _arguments -S $common $tracing '--no-seccomp[stop at every call]' \
        '--kill-on-exit[kill the tree if stucktrace ends]' '*::command: _normal'
      ;;
    attach)
      _arguments $common $tracing '--for=[detach after this]:time:' \
        '--until-stuck[detach at the first finding]' \
        '--no-children[leave existing children alone]' '*:pid:_pids'
      ;;
    explain)
      _arguments $common '--all[search the whole machine]' \
        '--tree[from the outermost ancestor of the session]' \
        '--timeout=[how long a look may take]:time:' '--stacks[stacks of all threads]' \
        '--allow-stop[a running thread may be stopped for its stack]' \
        '--stuck-after=[look into waits this old]:time:' '--settle=[time between the samples]:time:' \
        '*--announce=[output that announces completion]:regex:' '*:pid:_pids'
      ;;
    watch)
      _arguments '--interval=[time between looks]:time:' '--exit[quit when the processes have ended]' \
        '--stuck-after=[look into waits this old]:time:' '--settle=[time between the samples]:time:' \
        '*--announce=[output that announces completion]:regex:' \
        '--color=[colours]:when:(auto always never)' '(-h --help)'{-h,--help}'[print the usage]' \
        '*:pid:_pids'
      ;;
    demo) _arguments $common $tracing '--healthy[its healthy twin]' '1:demo:_stucktrace_demos' ;;
    replay) _arguments $common '1:recording:_files' ;;
    compare) _arguments $common '--update[make the file the new baseline]' '1:baseline:_files' '2:recording:_files' ;;
    syscalls) _arguments $common '--abi=[whose numbers]:abi:(x86_64 i386 x32 aarch64)' '*:name:' ;;
    doctor) _arguments $common '1:pid:_pids' ;;
  esac
}

_stucktrace "$@"
