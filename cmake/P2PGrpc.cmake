# p2p_grpc: the gRPC core. It is some sixty shared libraries, and to find each other's names takes
# them longer than a command of ours runs; calls between them are slower, too. So programs for users
# have gRPC and Abseil, which belong together, linked in, where the system has all of them as
# archives. Tests and sanitizers, which tell libraries from us by their files, take them as they are.
pkg_check_modules(GRPC REQUIRED IMPORTED_TARGET grpc)
add_library(p2p_grpc INTERFACE)

set(archives "")
set(others "")
if((CMAKE_BUILD_TYPE STREQUAL "Release" OR CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo") AND NOT P2P_SANITIZE)
  foreach(name IN LISTS GRPC_STATIC_LIBRARIES)
    if(NOT name MATCHES "^(absl_.*|grpc|gpr|address_sorting|upb)$")
      list(APPEND others "${name}")
      continue()
    endif()
    find_library(P2P_ARCHIVE_${name} "lib${name}.a" HINTS ${GRPC_STATIC_LIBRARY_DIRS})
    mark_as_advanced(P2P_ARCHIVE_${name})
    if(NOT P2P_ARCHIVE_${name})
      set(archives "")
      break()
    endif()
    list(APPEND archives "${P2P_ARCHIVE_${name}}")
  endforeach()
endif()

if(archives)
  list(REMOVE_DUPLICATES archives)
  list(REMOVE_DUPLICATES others)
  target_include_directories(p2p_grpc INTERFACE ${GRPC_INCLUDE_DIRS})
  target_link_libraries(p2p_grpc INTERFACE
    -Wl,--start-group ${archives} -Wl,--end-group ${others} stdc++ m)
else()
  target_link_libraries(p2p_grpc INTERFACE PkgConfig::GRPC)
endif()
