# Tests of the scripts and of the demos themselves; included from tests/CMakeLists.txt, after
# enable_testing().

find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)

function(stucktrace_script_test name)
  add_test(NAME scripts.${name} COMMAND ${ARGN})
  set_tests_properties(scripts.${name} PROPERTIES LABELS scripts TIMEOUT 120)
endfunction()

set(scripts ${PROJECT_SOURCE_DIR}/scripts)
stucktrace_script_test(layers ${Python3_EXECUTABLE} ${scripts}/check_layers.py)
stucktrace_script_test(layers_self_test ${Python3_EXECUTABLE} ${scripts}/check_layers.py --self-test)
stucktrace_script_test(targets ${Python3_EXECUTABLE} ${scripts}/check_targets.py
                       ${PROJECT_BINARY_DIR}/target)

foreach(script demo test bench format.sh lint.sh)
  stucktrace_script_test(help_${script} ${scripts}/${script} --help)
  set_tests_properties(scripts.help_${script} PROPERTIES PASS_REGULAR_EXPRESSION
                       "^usage: scripts/${script}")
endforeach()

# groff's own warnings are the test: a man page that formats has none.
find_program(MAN man)
if(MAN)
  stucktrace_script_test(man_page ${MAN} --warnings -E UTF-8 -l -Tutf8 -Z
                         ${scripts}/man/stucktrace.1)
  set_tests_properties(scripts.man_page PROPERTIES ENVIRONMENT "LC_ALL=C.UTF-8"
                       FAIL_REGULAR_EXPRESSION "[^\n]*(warning|error)[: ].*")
endif()

stucktrace_script_test(documented_options ${Python3_EXECUTABLE} ${scripts}/check_options.py
                       $<TARGET_FILE:stucktrace>)
foreach(shell bash zsh fish)
  find_program(SHELL_${shell} ${shell})
  if(SHELL_${shell})
    stucktrace_script_test(completion_syntax_${shell} ${SHELL_${shell}} -n
                           ${scripts}/completions/stucktrace.${shell})
  endif()
endforeach()

# Not with sanitizers: they change what the programs of the zoo do.
if(NOT STUCKTRACE_SANITIZE)
  stucktrace_script_test(zoo ${scripts}/zoo --build-dir ${PROJECT_BINARY_DIR})
  set_tests_properties(scripts.zoo PROPERTIES TIMEOUT 300 RUN_SERIAL ON)
endif()

# Shape only: times beside other tests mean nothing.
if(NOT STUCKTRACE_SANITIZE)
  stucktrace_script_test(bench ${Python3_EXECUTABLE} ${scripts}/check_bench.py
                         $<TARGET_FILE:stucktrace>)
endif()
