# The CUDA backend on the emulated GPU, with the scenarios of tests/runtime. Without the CUDA compiler there are no kernels and
# no such tests.
if(GRISTMILL_HAS_CUDA)
  set(folder ${CMAKE_CURRENT_SOURCE_DIR}/cuda)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/runtime/*scenarios.cpp)
  add_library(cuda_scenarios OBJECT ${sources} runtime/lab.cpp cuda/mutants/kernels.cpp)
  target_include_directories(cuda_scenarios PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/runtime ${folder})
  target_link_libraries(cuda_scenarios PUBLIC gristmill_test_support gristmill_runtime gristmill_cuda)
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.cpp)
  add_library(cuda_cases OBJECT ${sources})
  # The toolkit's own header and library, to be compared with ours.
  get_filename_component(toolkit ${GRISTMILL_NVCC}/../.. ABSOLUTE)
  set_source_files_properties(${folder}/cublas_declarations_test.cpp ${folder}/driver_declarations_test.cpp PROPERTIES
    COMPILE_OPTIONS "-isystem;${toolkit}/include" COMPILE_DEFINITIONS "GRISTMILL_TOOLKIT=\"${toolkit}\"")
  target_link_libraries(cuda_cases PUBLIC cuda_scenarios)

  add_executable(test_cuda $<TARGET_OBJECTS:cuda_cases> $<TARGET_OBJECTS:cuda_scenarios>)
  target_link_libraries(test_cuda PRIVATE cuda_cases)
  catch_discover_tests(test_cuda TEST_PREFIX "cuda: "
    PROPERTIES LABELS emulator SKIP_REGULAR_EXPRESSION "\\[skipped\\]" TIMEOUT 600)

  # Every kernel is launched, and costs what cuda/kernel-budget.json says.
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/counters/*.cpp)
  add_executable(kernel-counters ${sources} $<TARGET_OBJECTS:cuda_scenarios>)
  target_link_libraries(kernel-counters PRIVATE cuda_scenarios)
  add_test(NAME "cuda: every kernel is launched" COMMAND kernel-counters)
  set_tests_properties("cuda: every kernel is launched" PROPERTIES LABELS emulator TIMEOUT 300)

  # The same cases over every mutant of the kernels. Where the compiler has an instruction from, it tells in a second text.
  set(lines ${CMAKE_CURRENT_BINARY_DIR}/kernel-lines)
  file(MAKE_DIRECTORY ${lines})
  file(GLOB kernels CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cuda/*.cu)
  set(texts)
  foreach(kernel IN LISTS kernels)
    get_filename_component(name ${kernel} NAME_WE)
    add_custom_command(OUTPUT ${lines}/${name}.ptx
      COMMAND ${GRISTMILL_NVCC} -ptx -lineinfo -std=c++17 -arch=compute_80 -I${CMAKE_SOURCE_DIR} -I${CMAKE_SOURCE_DIR}/lib
              -MD -MF ${lines}/${name}.d -MT ${lines}/${name}.ptx -o ${lines}/${name}.ptx ${kernel}
      DEPENDS ${kernel} DEPFILE ${lines}/${name}.d VERBATIM)
    list(APPEND texts ${lines}/${name}.ptx)
  endforeach()
  add_custom_target(kernel-lines DEPENDS ${texts})
  add_executable(kernel-mutants ${folder}/mutants/cases.cpp ${folder}/mutants/main.cpp ${folder}/mutants/proofs.cpp
    ${folder}/mutants/sources.cpp ${folder}/mutants/suite.cpp $<TARGET_OBJECTS:cuda_cases> $<TARGET_OBJECTS:cuda_scenarios>)
  target_link_libraries(kernel-mutants PRIVATE cuda_cases)
  target_compile_definitions(kernel-mutants PRIVATE GRISTMILL_KERNEL_LINES="${lines}"
    GRISTMILL_KERNEL_SOURCES="${CMAKE_SOURCE_DIR}/cuda" GRISTMILL_KERNEL_PROOFS="${folder}/mutants/equivalent.json")
  add_dependencies(kernel-mutants kernel-lines)
  add_test(NAME "cuda: mutants of kernels without a barrier or a wait"
           COMMAND kernel-mutants --brief --kinds "barrier wait guard")
  set_tests_properties("cuda: mutants of kernels without a barrier or a wait" PROPERTIES LABELS mutants TIMEOUT 7200 PROCESSORS 2)
endif()
