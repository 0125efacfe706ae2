# The CUDA backend on the emulated GPU, with the scenarios of tests/runtime. Without the CUDA compiler there are no kernels and
# no such tests.
if(GRISTMILL_HAS_CUDA)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/*.cpp)
  # The toolkit's own header and library, to be compared with ours.
  get_filename_component(toolkit ${GRISTMILL_NVCC}/../.. ABSOLUTE)
  set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/cuda/cublas_declarations_test.cpp PROPERTIES
    COMPILE_OPTIONS "-isystem;${toolkit}/include" COMPILE_DEFINITIONS "GRISTMILL_TOOLKIT=\"${toolkit}\"")
  file(GLOB scenarios CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/runtime/*scenarios.cpp)
  add_executable(test_cuda ${sources} ${scenarios} runtime/lab.cpp)
  target_include_directories(test_cuda PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/runtime)
  target_link_libraries(test_cuda PRIVATE gristmill_test_support gristmill_runtime gristmill_cuda)
  catch_discover_tests(test_cuda TEST_PREFIX "cuda: "
    PROPERTIES LABELS emulator SKIP_REGULAR_EXPRESSION "\\[skipped\\]" TIMEOUT 600)
endif()

# As cublas_declarations_test.cpp: with the toolkit's header and stand-in for the driver.
if(GRISTMILL_HAS_CUDA)
  set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/cuda/driver_declarations_test.cpp PROPERTIES
    COMPILE_OPTIONS "-isystem;${toolkit}/include" COMPILE_DEFINITIONS "GRISTMILL_TOOLKIT=\"${toolkit}\"")
endif()
