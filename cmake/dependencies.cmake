# One imported target for each library, so that the folders name what they use and not where it lies.
# Imported targets are system includes: our warnings do not fire in them.
find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(ZLIB REQUIRED)

set(FETCHER_DEPS_PREFIX "${PROJECT_SOURCE_DIR}/.deps/prefix" CACHE PATH "Where scripts/setup installs what Debian has too old")

# fetcher_library(NAME HEADER LIBRARY): fetcher::NAME from a header and a library that ship no usable CMake package.
function(fetcher_library name header library)
  find_path(FETCHER_${name}_INCLUDE_DIR ${header} PATH_SUFFIXES postgresql)
  find_library(FETCHER_${name}_LIBRARY ${library})
  mark_as_advanced(FETCHER_${name}_INCLUDE_DIR FETCHER_${name}_LIBRARY)
  if(NOT FETCHER_${name}_INCLUDE_DIR OR NOT FETCHER_${name}_LIBRARY)
    message(FATAL_ERROR "${header} or lib${library} is missing: run scripts/setup.")
  endif()
  add_library(fetcher::${name} INTERFACE IMPORTED GLOBAL)
  target_include_directories(fetcher::${name} INTERFACE "${FETCHER_${name}_INCLUDE_DIR}")
  target_link_libraries(fetcher::${name} INTERFACE "${FETCHER_${name}_LIBRARY}")
endfunction()

# fetcher_headers(NAME HEADER): fetcher::NAME from a header alone.
function(fetcher_headers name header)
  find_path(FETCHER_${name}_INCLUDE_DIR ${header})
  mark_as_advanced(FETCHER_${name}_INCLUDE_DIR)
  if(NOT FETCHER_${name}_INCLUDE_DIR)
    message(FATAL_ERROR "${header} is missing: run scripts/setup.")
  endif()
  add_library(fetcher::${name} INTERFACE IMPORTED GLOBAL)
  target_include_directories(fetcher::${name} INTERFACE "${FETCHER_${name}_INCLUDE_DIR}")
endfunction()

# --- compression -------------------------------------------------------------------------------------------------
fetcher_library(zstd zstd.h zstd)
add_library(fetcher::zlib INTERFACE IMPORTED GLOBAL)
target_link_libraries(fetcher::zlib INTERFACE ZLIB::ZLIB)

# --- librdkafka: the prefix first, the distribution's only when it is new enough ----------------------------------
set(fetcher_rdkafka_wanted 2.14.0)
find_path(FETCHER_RDKAFKA_INCLUDE_DIR librdkafka/rdkafka.h PATHS "${FETCHER_DEPS_PREFIX}/include" NO_DEFAULT_PATH)
find_path(FETCHER_RDKAFKA_INCLUDE_DIR librdkafka/rdkafka.h)
set(fetcher_rdkafka_found "none")
if(FETCHER_RDKAFKA_INCLUDE_DIR)
  file(STRINGS "${FETCHER_RDKAFKA_INCLUDE_DIR}/librdkafka/rdkafka.h" version_line
       REGEX "^#define RD_KAFKA_VERSION +0x[0-9a-fA-F]+" LIMIT_COUNT 1)
  if(version_line MATCHES "0x([0-9a-fA-F][0-9a-fA-F])([0-9a-fA-F][0-9a-fA-F])([0-9a-fA-F][0-9a-fA-F])")
    math(EXPR major "0x${CMAKE_MATCH_1}")
    math(EXPR minor "0x${CMAKE_MATCH_2}")
    math(EXPR patch "0x${CMAKE_MATCH_3}")
    set(fetcher_rdkafka_found "${major}.${minor}.${patch}")
  endif()
endif()
if(fetcher_rdkafka_found STREQUAL "none" OR fetcher_rdkafka_found VERSION_LESS fetcher_rdkafka_wanted)
  unset(FETCHER_RDKAFKA_INCLUDE_DIR CACHE)  # looked for again once scripts/setup has run
  message(FATAL_ERROR "librdkafka ${fetcher_rdkafka_wanted} or newer is needed, found: ${fetcher_rdkafka_found}. Run scripts/setup.")
endif()

cmake_path(IS_PREFIX FETCHER_DEPS_PREFIX "${FETCHER_RDKAFKA_INCLUDE_DIR}" NORMALIZE fetcher_rdkafka_is_ours)
if(fetcher_rdkafka_is_ours)
  # The library that belongs to the header: a runtime package's older .so is never looked at.
  find_library(FETCHER_RDKAFKA_LIBRARY NAMES librdkafka.a PATHS "${FETCHER_DEPS_PREFIX}/lib" NO_DEFAULT_PATH REQUIRED)
else()
  find_library(FETCHER_RDKAFKA_LIBRARY NAMES rdkafka REQUIRED)
endif()
mark_as_advanced(FETCHER_RDKAFKA_INCLUDE_DIR FETCHER_RDKAFKA_LIBRARY)
add_library(fetcher::rdkafka INTERFACE IMPORTED GLOBAL)
target_include_directories(fetcher::rdkafka INTERFACE "${FETCHER_RDKAFKA_INCLUDE_DIR}")
target_link_libraries(fetcher::rdkafka INTERFACE
  "${FETCHER_RDKAFKA_LIBRARY}" OpenSSL::SSL OpenSSL::Crypto fetcher::zstd ZLIB::ZLIB Threads::Threads ${CMAKE_DL_LIBS} m)

# --- cpp-httplib: one header, likewise ----------------------------------------------------------------------------
set(fetcher_httplib_wanted 0.41.0)
find_path(FETCHER_HTTPLIB_INCLUDE_DIR httplib.h PATHS "${FETCHER_DEPS_PREFIX}/include" NO_DEFAULT_PATH)
find_path(FETCHER_HTTPLIB_INCLUDE_DIR httplib.h)
mark_as_advanced(FETCHER_HTTPLIB_INCLUDE_DIR)
set(fetcher_httplib_found "none")
if(FETCHER_HTTPLIB_INCLUDE_DIR)
  file(STRINGS "${FETCHER_HTTPLIB_INCLUDE_DIR}/httplib.h" version_line
       REGEX "^#define CPPHTTPLIB_VERSION +\"[0-9.]+\"" LIMIT_COUNT 1)
  if(version_line MATCHES "\"([0-9.]+)\"")
    set(fetcher_httplib_found "${CMAKE_MATCH_1}")
  endif()
endif()
if(fetcher_httplib_found STREQUAL "none" OR fetcher_httplib_found VERSION_LESS fetcher_httplib_wanted)
  unset(FETCHER_HTTPLIB_INCLUDE_DIR CACHE)
  message(FATAL_ERROR "cpp-httplib ${fetcher_httplib_wanted} or newer is needed, found: ${fetcher_httplib_found}. Run scripts/setup.")
endif()
add_library(fetcher::httplib INTERFACE IMPORTED GLOBAL)
target_include_directories(fetcher::httplib INTERFACE "${FETCHER_HTTPLIB_INCLUDE_DIR}")
# Without TCP_NODELAY a request on a kept connection waits some 40-80 ms for the peer's delayed ACK.
# Its client would ask for leave (Expect: 100-continue) before each body of 1 KiB and wait a second where nobody gives it.
# A peer that is gone is an error of the call and no signal (for TLS the program must ignore SIGPIPE).
target_compile_definitions(fetcher::httplib INTERFACE
  CPPHTTPLIB_TCP_NODELAY=true CPPHTTPLIB_EXPECT_100_THRESHOLD=0 CPPHTTPLIB_SEND_FLAGS=MSG_NOSIGNAL CPPHTTPLIB_OPENSSL_SUPPORT)
target_link_libraries(fetcher::httplib INTERFACE Threads::Threads OpenSSL::SSL OpenSSL::Crypto)
message(STATUS "librdkafka ${fetcher_rdkafka_found}, cpp-httplib ${fetcher_httplib_found}")

# --- storage and databases ----------------------------------------------------------------------------------------
fetcher_library(pq libpq-fe.h pq)
find_package(SQLiteCpp REQUIRED)
add_library(fetcher::sqlitecpp INTERFACE IMPORTED GLOBAL)
target_link_libraries(fetcher::sqlitecpp INTERFACE SQLiteCpp)

# --- JSON, logging, command line, errors, metrics -----------------------------------------------------------------
find_package(nlohmann_json REQUIRED)
fetcher_headers(valijson valijson/validator.hpp)
add_library(fetcher::json INTERFACE IMPORTED GLOBAL)
target_link_libraries(fetcher::json INTERFACE nlohmann_json::nlohmann_json fetcher::valijson)
fetcher_library(simdjson simdjson.h simdjson)

find_package(spdlog REQUIRED)
add_library(fetcher::spdlog INTERFACE IMPORTED GLOBAL)
target_link_libraries(fetcher::spdlog INTERFACE spdlog::spdlog)

find_package(CLI11 REQUIRED)
add_library(fetcher::cli11 INTERFACE IMPORTED GLOBAL)
target_link_libraries(fetcher::cli11 INTERFACE CLI11::CLI11)

find_package(tl-expected REQUIRED)
add_library(fetcher::expected INTERFACE IMPORTED GLOBAL)
target_link_libraries(fetcher::expected INTERFACE tl::expected)

# Its CMake package asks for curl and civetweb, which only the parts that we do not use need.
fetcher_library(prometheus prometheus/registry.h prometheus-cpp-core)

# --- memory -------------------------------------------------------------------------------------------------------
# librdkafka allocates for each record in one thread and frees in another, which the C library's allocator answers with a lock and more memory.
# A program that links this first has all its memory from mimalloc; sanitizers bring an allocator of their own.
add_library(fetcher::allocator INTERFACE IMPORTED GLOBAL)
if(FETCHER_SANITIZER STREQUAL "")
  fetcher_library(mimalloc mimalloc.h mimalloc)
  target_link_libraries(fetcher::allocator INTERFACE fetcher::mimalloc)
endif()

# --- queues: <concurrentqueue/concurrentqueue.h>, <readerwriterqueue/readerwriterqueue.h> --------------------------
fetcher_headers(concurrentqueue concurrentqueue/concurrentqueue.h)
fetcher_headers(readerwriterqueue readerwriterqueue/readerwriterqueue.h)
add_library(fetcher::queues INTERFACE IMPORTED GLOBAL)
target_link_libraries(fetcher::queues INTERFACE fetcher::concurrentqueue fetcher::readerwriterqueue)

# --- tests and benchmarks -----------------------------------------------------------------------------------------
find_package(GTest REQUIRED)
add_library(fetcher::gtest INTERFACE IMPORTED GLOBAL)
target_link_libraries(fetcher::gtest INTERFACE GTest::gmock GTest::gtest GTest::gtest_main)
find_package(benchmark REQUIRED)
add_library(fetcher::benchmark INTERFACE IMPORTED GLOBAL)
target_link_libraries(fetcher::benchmark INTERFACE benchmark::benchmark)
