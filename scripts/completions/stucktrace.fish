# Fish completion for stucktrace.

# Names and descriptions from the index of the demos that were installed, or built, with the program.
function __stucktrace_demos
    set -l directory (dirname (realpath (command -v stucktrace)))
    for index in $directory/target/targets.tsv $directory/../libexec/stucktrace/target/targets.tsv
        if test -r $index
            awk -F '\t' '!/^#/ { print $1 "\t" $4 }' $index
            return
        end
    end
end

set -l commands run attach explain watch demo replay compare export syscalls doctor
complete -c stucktrace -f
complete -c stucktrace -n "not __fish_seen_subcommand_from $commands" -l version -d 'Print the version'
complete -c stucktrace -n "not __fish_seen_subcommand_from $commands" -a run -d 'Start a command under the tracer'
complete -c stucktrace -n "not __fish_seen_subcommand_from $commands" -a attach -d 'Attach to live processes'
complete -c stucktrace -n "not __fish_seen_subcommand_from $commands" -a explain -d 'Tell why live processes are stuck, stop nothing'
complete -c stucktrace -n "not __fish_seen_subcommand_from $commands" -a watch -d 'Show the live tree in the terminal'
complete -c stucktrace -n "not __fish_seen_subcommand_from $commands" -a demo -d 'Run a bundled program that gets stuck'
complete -c stucktrace -n "not __fish_seen_subcommand_from $commands" -a replay -d 'Print timeline and findings of a recording'
complete -c stucktrace -n "not __fish_seen_subcommand_from $commands" -a compare -d 'Compare a run with a baseline'
complete -c stucktrace -n "not __fish_seen_subcommand_from $commands" -a export -d 'Print a recording in another format'
complete -c stucktrace -n "not __fish_seen_subcommand_from $commands" -a syscalls -d 'Print the table of system calls'
complete -c stucktrace -n "not __fish_seen_subcommand_from $commands" -a doctor -d 'Tell whether a process can be traced'

complete -c stucktrace -s h -l help -d 'Print the usage'
complete -c stucktrace -s q -l quiet -d 'Only findings'
complete -c stucktrace -s v -l verbose -d More
complete -c stucktrace -n true -l json -F -d 'The report as JSON on stdout or to a file'
complete -c stucktrace -n true -l color -x -a 'auto always never' -d Colours

set -l tracing '__fish_seen_subcommand_from run attach demo'
complete -c stucktrace -n $tracing -s o -l output -r -F -d 'Record to a file'
complete -c stucktrace -n $tracing -l ring -x -a '16M 64M 256M' -d 'Keep the last part of the recording'
complete -c stucktrace -n $tracing -s e -x -a 'trace=all trace=none' -d 'What becomes visible'
complete -c stucktrace -n $tracing -s k -l stacks-at -x -a 'blocked write futex' -d 'Calls at which to take the stack'
complete -c stucktrace -n $tracing -l stuck-after -x -d 'Look into waits this old'
complete -c stucktrace -n $tracing -l announce -x -d 'Output that announces completion'
complete -c stucktrace -n $tracing -l attach-mode -x -a 'seize attach' -d 'Kind of ptrace'
complete -c stucktrace -n $tracing -l payload -x -a 'none text all' -d 'Bytes of buffers to keep'
complete -c stucktrace -n $tracing -s c -l summary -d 'Count calls in place of the timeline'
complete -c stucktrace -n $tracing -l placement -x -a 'auto local normal' -d 'CPU of the tracer'
complete -c stucktrace -n $tracing -l fast-idle -d 'Keep idle CPUs awake'

set -l reports '__fish_seen_subcommand_from run attach explain demo replay compare'
complete -c stucktrace -n $reports -l junit -r -F -d 'The findings as JUnit XML'
complete -c stucktrace -n $reports -l sarif -r -F -d 'The findings as SARIF'
complete -c stucktrace -n $reports -l html -r -F -d 'The report as a page for a browser'

set -l run '__fish_seen_subcommand_from run'
complete -c stucktrace -n $run -l no-seccomp -d 'Stop at every call'
complete -c stucktrace -n $run -l kill-on-exit -d 'Kill the tree if stucktrace ends'
complete -c stucktrace -n $run -l deadline -x -d 'Diagnose and end the tree after this'
complete -c stucktrace -n $run -l idle -x -d 'The same when nothing happens for this long'
complete -c stucktrace -n $run -l grace -x -d 'From SIGTERM to SIGKILL'
complete -c stucktrace -n $run -l fail-on -x -a 'stuck deadlock none' -d 'End the tree at such a finding'
complete -c stucktrace -n $run -l close-orphans -d 'End what the command leaves behind'
complete -c stucktrace -n $run -l baseline -r -F -d 'Compare the run with a baseline'
complete -c stucktrace -n $run -l for-compare -d 'Trace all calls that compare looks at'
complete -c stucktrace -n $run -a '(__fish_complete_subcommand --fcs-skip=2)'

set -l attach '__fish_seen_subcommand_from attach'
complete -c stucktrace -n $attach -l for -x -d 'Detach after this'
complete -c stucktrace -n $attach -l until-stuck -d 'Detach at the first finding'
complete -c stucktrace -n $attach -l no-children -d 'Only the named processes and new children'

set -l explain '__fish_seen_subcommand_from explain'
complete -c stucktrace -n $explain -l all -d 'Search the whole machine'
complete -c stucktrace -n $explain -l tree -d 'From the outermost ancestor of the session'
complete -c stucktrace -n $explain -l timeout -x -d 'How long a look may take'
complete -c stucktrace -n $explain -l stacks -d 'Stacks of all threads'
complete -c stucktrace -n $explain -l allow-stop -d 'A running thread may be stopped for its stack'
complete -c stucktrace -n $explain -l native -d "Stacks with the interpreter's C frames"
complete -c stucktrace -n $explain -l settle -x -d 'Time between the samples'

set -l watch '__fish_seen_subcommand_from watch'
complete -c stucktrace -n $watch -l interval -x -d 'Time between looks'
complete -c stucktrace -n $watch -l exit -d 'Quit when the processes have ended'
complete -c stucktrace -n $watch -l stuck-after -x -d 'Look into waits this old'
complete -c stucktrace -n $watch -l announce -x -d 'Output that announces completion'
complete -c stucktrace -n $watch -l settle -x -d 'Time between the samples'

complete -c stucktrace -n '__fish_seen_subcommand_from attach explain watch doctor' -x -a '(__fish_complete_pids)'
complete -c stucktrace -n '__fish_seen_subcommand_from demo' -l healthy -d 'The healthy twin'
complete -c stucktrace -n '__fish_seen_subcommand_from demo' -x -a '(__stucktrace_demos)'

set -l golden '__fish_seen_subcommand_from run compare'
complete -c stucktrace -n $golden -l update -d 'Make this run the new baseline'
complete -c stucktrace -n $golden -l level -x -a 'structure effects calls' -d 'What is compared'
complete -c stucktrace -n $golden -l normalise -x -d 'A further rule, s/PATTERN/TEXT/'
complete -c stucktrace -n $golden -l assert -x -d 'What has to hold'

complete -c stucktrace -n '__fish_seen_subcommand_from replay compare export' -F
complete -c stucktrace -n '__fish_seen_subcommand_from export' -l format -x -a 'text strace json ndjson perfetto html dot junit sarif markdown' -d 'What to write'
complete -c stucktrace -n '__fish_seen_subcommand_from export' -s o -l output -r -F -d 'Write to a file'
complete -c stucktrace -n '__fish_seen_subcommand_from syscalls' -l abi -x -a 'x86_64 i386 x32 aarch64' -d 'Whose numbers'
