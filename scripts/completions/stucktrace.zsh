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
  local -a commands common tracing golden reports
  commands=(
    'run:start a command under the tracer'
    'attach:attach to live processes'
    'explain:tell why live processes are stuck, stop nothing'
    'watch:show the live tree in the terminal'
    'demo:run a bundled program that gets stuck'
    'replay:print timeline and findings of a recording'
    'compare:compare a run with a baseline'
    'export:print a recording in another format'
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
  reports=(
    '--junit=[the findings as JUnit XML]:file:_files'
    '--sarif=[the findings as SARIF]:file:_files'
    '--html=[the report as a page for a browser]:file:_files'
  )
  tracing=(
    '(-o --output)'{-o+,--output=}'[record to a file]:file:_files'
    '--ring=[keep the last part of the recording]:size:(16M 64M 256M)'
    '-e+[what becomes visible]:trace=SET:'
    '(-k --stacks-at)'{-k+,--stacks-at=}'[calls at which to take the stack]:SET:(blocked write futex)'
    '--stuck-after=[look into waits this old]:time:'
    '--settle=[time between the samples]:time:'
    '*--announce=[output that announces completion]:regex:'
    '--attach-mode=[kind of ptrace]:mode:(seize attach)'
    '--payload=[bytes of buffers to keep]:what:(none text all)'
    '(-c --summary)'{-c,--summary}'[count calls in place of the timeline]'
    '--placement=[CPU of the tracer]:where:(auto local normal)'
    '--fast-idle[keep idle CPUs awake]'
  )
  golden=(
    '--update[make this run the new baseline]'
    '--level=[what is compared]:level:(structure effects calls)'
    '*--normalise=[a further rule]:s/PATTERN/TEXT/:'
    '*--assert=[what has to hold]:assertion:'
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
      _arguments -S $common $tracing $golden $reports '--no-seccomp[stop at every call]' \
        '--baseline=[compare the run with a baseline]:file:_files' \
        '--for-compare[trace all calls that compare looks at]' \
        '--kill-on-exit[kill the tree if stucktrace ends]' \
        '--deadline=[diagnose and end the tree after this]:time:' \
        '--idle=[the same when nothing happens for this long]:time:' \
        '--grace=[from SIGTERM to SIGKILL]:time:' \
        '--fail-on=[end the tree at such a finding]:finding:(stuck deadlock none)' \
        '--close-orphans[end what the command leaves behind]' '*::command: _normal'
      ;;
    attach)
      _arguments $common $tracing $reports '--for=[detach after this]:time:' \
        '--until-stuck[detach at the first finding]' \
        '--no-children[leave existing children alone]' '*:pid:_pids'
      ;;
    explain)
      _arguments $common $reports '--all[search the whole machine]' \
        '--tree[from the outermost ancestor of the session]' \
        '--timeout=[how long a look may take]:time:' '--stacks[stacks of all threads]' \
        '--allow-stop[a running thread may be stopped for its stack]' \
        '--native[stacks with the C frames of an interpreter]' \
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
    demo) _arguments $common $tracing $reports '--healthy[its healthy twin]' '1:demo:_stucktrace_demos' ;;
    replay) _arguments $common $reports '1:recording:_files' ;;
    compare) _arguments $common $golden $reports '1:baseline:_files' '2:recording:_files' ;;
    export)
      _arguments '--format=[what to write]:format:(text strace json ndjson perfetto html dot junit sarif markdown)' \
        '(-o --output)'{-o+,--output=}'[write to a file]:file:_files' \
        '(-h --help)'{-h,--help}'[print the usage]' '1:recording:_files'
      ;;
    syscalls) _arguments $common '--abi=[whose numbers]:abi:(x86_64 i386 x32 aarch64)' '*:name:' ;;
    doctor) _arguments $common '1:pid:_pids' ;;
  esac
}

_stucktrace "$@"
