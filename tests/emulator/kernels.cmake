# Where the CUDA compiler is, the kernels of the emulator's tests are compiled anew for those of three architectures that it
# knows. Without it, or with one that does not work here (an older one may refuse the host's compiler), the tests take the PTX
# in testdata/ alone, which is that of compute_80.
find_program(GRISTMILL_NVCC nvcc HINTS ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES bin)
set(architectures "")
if(GRISTMILL_NVCC)
  execute_process(COMMAND ${GRISTMILL_NVCC} --list-gpu-arch OUTPUT_VARIABLE known ERROR_QUIET)
  string(REGEX MATCHALL "compute_[0-9]+" known "${known}")
  foreach(architecture 80 90 100)
    if("compute_${architecture}" IN_LIST known)
      list(APPEND architectures ${architecture})
    endif()
  endforeach()
endif()
if(architectures)
  list(GET architectures 0 architecture)
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/ptx/probe.cu "extern \"C\" __global__ void probe() {}\n")
  execute_process(
    COMMAND ${GRISTMILL_NVCC} -ptx -std=c++17 -arch=compute_${architecture}
            -o ${CMAKE_CURRENT_BINARY_DIR}/ptx/probe.ptx ${CMAKE_CURRENT_BINARY_DIR}/ptx/probe.cu
    RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  if(failed)
    message(STATUS "${GRISTMILL_NVCC} does not compile: the emulator's tests use the PTX in testdata/")
    set(architectures "")
  endif()
endif()
if(architectures)
  set(ptx_folder ${CMAKE_CURRENT_BINARY_DIR}/ptx)
  set(ptx_files)
  foreach(kernel rmsnorm gemm attention)
    foreach(architecture IN LISTS architectures)
      set(source ${CMAKE_CURRENT_SOURCE_DIR}/emulator/kernels/${kernel}.cu)
      set(ptx ${ptx_folder}/${kernel}.${architecture}.ptx)
      add_custom_command(OUTPUT ${ptx}
        COMMAND ${GRISTMILL_NVCC} -ptx -std=c++17 -arch=compute_${architecture} -o ${ptx} ${source}
        DEPENDS ${source} ${CMAKE_CURRENT_SOURCE_DIR}/emulator/kernels/tensor_core.cuh VERBATIM)
      list(APPEND ptx_files ${ptx})
    endforeach()
  endforeach()
  add_custom_target(emulator_kernels DEPENDS ${ptx_files})
  add_dependencies(test_emulator emulator_kernels)
  list(JOIN architectures " " architectures)
  target_compile_definitions(test_emulator PRIVATE GRISTMILL_PTX="${ptx_folder}"
    GRISTMILL_PTX_ARCHITECTURES="${architectures}")
endif()
