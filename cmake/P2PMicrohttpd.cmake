# p2p_microhttpd: the HTTP library of the directory, linked in (Debian's archive of 0.9.75) for two
# reasons:
#
# - That version zeroes the memory of a connection, 68 KiB here, one and a half times at each request,
#   and no option says otherwise. So it gets memory of our own instead of its
#   (directory/connection_memory.h): defined by an object of ours, these names are there already when
#   the linker reads the archive, and the library's are left out. With sanitizers it keeps its own,
#   which they see as it is.
# - What it calls of the system goes through directory/microhttpd_calls.c: the linker's --wrap has such
#   calls of the whole program go there, and those of a thread without a batch straight on.
#
# Both depend on the library's inside: where there is no archive of exactly this version it is the
# shared one. The same, but slower.
#
# p2p_connection_memory: that object by itself, for its test.
pkg_check_modules(MICROHTTPD REQUIRED IMPORTED_TARGET libmicrohttpd)
pkg_check_modules(GNUTLS IMPORTED_TARGET gnutls)

add_library(p2p_connection_memory OBJECT "${PROJECT_SOURCE_DIR}/directory/connection_memory.c")
target_link_libraries(p2p_connection_memory PUBLIC p2p_build PRIVATE p2p_warnings)
set_target_properties(p2p_connection_memory PROPERTIES C_EXTENSIONS ON)

add_library(p2p_microhttpd_calls OBJECT "${PROJECT_SOURCE_DIR}/directory/microhttpd_calls.c")
target_link_libraries(p2p_microhttpd_calls PUBLIC p2p_build PRIVATE p2p_warnings)
set_target_properties(p2p_microhttpd_calls PROPERTIES C_EXTENSIONS ON)

add_library(p2p_microhttpd INTERFACE)
find_library(P2P_ARCHIVE_microhttpd libmicrohttpd.a HINTS ${MICROHTTPD_STATIC_LIBRARY_DIRS} ${MICROHTTPD_LIBDIR})
mark_as_advanced(P2P_ARCHIVE_microhttpd)
if(P2P_ARCHIVE_microhttpd AND GNUTLS_FOUND AND MICROHTTPD_VERSION VERSION_EQUAL 0.9.75)
  target_include_directories(p2p_microhttpd INTERFACE ${MICROHTTPD_INCLUDE_DIRS})
  target_compile_definitions(p2p_microhttpd INTERFACE P2P_MICROHTTPD_CALLS)
  if(NOT P2P_SANITIZE)
    target_compile_definitions(p2p_microhttpd INTERFACE P2P_CONNECTION_MEMORY)
    target_link_libraries(p2p_microhttpd INTERFACE $<TARGET_OBJECTS:p2p_connection_memory>)
  endif()
  target_link_libraries(p2p_microhttpd INTERFACE
    $<TARGET_OBJECTS:p2p_microhttpd_calls>
    -Wl,--wrap=recv,--wrap=send,--wrap=sendmsg,--wrap=shutdown,--wrap=close
    "${P2P_ARCHIVE_microhttpd}" PkgConfig::GNUTLS)
else()
  message(STATUS "libmicrohttpd ${MICROHTTPD_VERSION} is used as a shared library, which is slower")
  target_link_libraries(p2p_microhttpd INTERFACE PkgConfig::MICROHTTPD)
endif()
