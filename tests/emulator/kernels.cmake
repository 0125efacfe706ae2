# Where the CUDA compiler is, the kernels of the emulator's tests are compiled anew for three architectures. Without it the
# tests take the PTX in testdata/, which is that of compute_80.
find_program(GRISTMILL_NVCC nvcc HINTS ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES bin)
if(GRISTMILL_NVCC)
  set(ptx_folder ${CMAKE_CURRENT_BINARY_DIR}/ptx)
  file(MAKE_DIRECTORY ${ptx_folder})
  set(ptx_files)
  foreach(kernel rmsnorm gemm attention)
    foreach(architecture 80 90 100)
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
  target_compile_definitions(test_emulator PRIVATE GRISTMILL_PTX="${ptx_folder}")
endif()
