# One place that says how this project's own C is compiled. Generated code does not use it.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

option(P2P_WERROR "Treat warnings as errors" OFF)
set(P2P_SANITIZE "" CACHE STRING "Value for -fsanitize=, empty for none")
option(P2P_FUZZERS "Build the fuzz targets (clang)" OFF)
option(P2P_COVERAGE "Instrument for coverage" OFF)

# What every object of the project is built with, its warnings apart.
add_library(p2p_build INTERFACE)
target_compile_features(p2p_build INTERFACE c_std_17)
target_compile_definitions(p2p_build INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
target_include_directories(p2p_build INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_options(p2p_build INTERFACE -fstack-protector-strong -fno-omit-frame-pointer)
target_link_options(p2p_build INTERFACE -Wl,-z,relro,-z,now)
if(P2P_SANITIZE)
  target_compile_options(p2p_build INTERFACE -fsanitize=${P2P_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(p2p_build INTERFACE -fsanitize=${P2P_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release" OR CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  target_compile_definitions(p2p_build INTERFACE _FORTIFY_SOURCE=2)
endif()
if(P2P_FUZZERS)
  target_compile_options(p2p_build INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(P2P_COVERAGE)
  target_compile_options(p2p_build INTERFACE --coverage)
  target_link_options(p2p_build INTERFACE --coverage)
endif()

add_library(p2p_warnings INTERFACE)
target_compile_options(p2p_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
  -Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla -Wformat=2 -Wundef -Wdouble-promotion)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  # snprintf is used for its cut: the compiler's guess of the worst case says nothing.
  target_compile_options(p2p_warnings INTERFACE -Wno-format-truncation)
else()
  # clang also warns of the casts inside protobuf-c's initialisers (gcc's check is enough), and of
  # tables one row of which has its text on several lines.
  target_compile_options(p2p_warnings INTERFACE -Wno-cast-qual -Wno-string-concatenation)
endif()
if(P2P_WERROR)
  target_compile_options(p2p_warnings INTERFACE -Werror)
endif()

# p2p_library(NAME SOURCES... ): a folder's library; p2p_program(NAME SOURCES...): its main.
function(p2p_library name)
  add_library(${name} STATIC ${ARGN})
  target_link_libraries(${name} PUBLIC p2p_build PRIVATE p2p_warnings)
  set_target_properties(${name} PROPERTIES C_EXTENSIONS ON)
endfunction()

function(p2p_program name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE p2p_build p2p_warnings)
  set_target_properties(${name} PROPERTIES C_EXTENSIONS ON)
endfunction()
