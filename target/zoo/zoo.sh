#!/bin/bash
# usage: zoo.sh BEHAVIOUR
#
# Hangs and healthy look-alikes of shell scripts.

set -u
folder=$(mktemp -d "${TMPDIR:-/tmp}/zoo.XXXXXX")

case ${1:?which behaviour} in
  # -- hangs
  coproc)  # its input is still open, so cat has not ended, and it has nothing to say
    coproc cat
    echo ready
    read -r line <&"${COPROC[0]}"
    ;;
  coproc-wait)
    coproc cat
    echo ready
    wait "$COPROC_PID"
    ;;
  process-substitution)  # waits for a reader whose input it keeps open itself
    exec 5> >(exec cat >/dev/null)
    reader=$!
    echo ready
    wait "$reader"
    ;;
  command-substitution)  # the background job holds the pipe that is read to its end
    echo ready
    started=$( (tail -f /dev/null &) ; echo started)
    echo "$started"
    ;;
  fifos-crossed)
    mkfifo "$folder/there" "$folder/back"
    echo ready
    (exec 3<"$folder/there" 4>"$folder/back") &
    exec 3<"$folder/back" 4>"$folder/there"
    ;;
  fifo-without-reader)
    mkfifo "$folder/fifo"
    echo ready
    echo hello >"$folder/fifo"
    ;;
  flock-nested)
    echo ready
    flock "$folder/lock" flock "$folder/lock" true
    ;;
  full-fifo)  # writes all before it reads
    mkfifo "$folder/fifo"
    exec 3<>"$folder/fifo"
    echo ready
    head -c 999999 /dev/zero >&3
    cat <&3
    ;;

  # -- healthy
  tail)
    echo line >"$folder/log"
    echo ready
    exec tail -f "$folder/log"
    ;;
  tail-pipeline)
    echo line >"$folder/log"
    echo ready
    tail -f "$folder/log" | grep --line-buffered nothing | cat
    ;;
  cat-grep)
    echo ready
    cat | grep nothing
    ;;
  sleep-pipeline)
    echo ready
    sleep 600 | cat | cat
    ;;
  wait-for-job)
    echo ready
    sleep 600 &
    wait
    ;;
  control-fifo)
    mkfifo "$folder/control"
    exec 3<>"$folder/control"
    echo ready
    while read -r line <&3; do echo "$line"; done
    ;;
  coproc-served)  # the other side works for a while
    coproc { read -r line; sleep 600; echo "$line"; }
    echo question >&"${COPROC[1]}"
    echo ready
    read -r line <&"${COPROC[0]}"
    ;;
  make)
    printf 'all: one two three\none two three:\n\t@sleep 600\n' >"$folder/Makefile"
    echo ready
    make -s -j2 -C "$folder"
    ;;
  read)
    echo ready
    read -r line
    ;;
  shells)  # job control in two shells, one in the other, at their prompts
    echo ready
    exec bash --norc -i -c 'sleep 600 & exec bash --norc -i'
    ;;
  python)
    echo ready
    exec "${2:-python3}" -i -q
    ;;
  *)
    echo "unknown behaviour: $1" >&2
    exit 2
    ;;
esac
