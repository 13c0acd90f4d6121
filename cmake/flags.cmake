# Two interface targets, linked by every target of ours through fetcher_options:
#   fetcher_warnings         what the compiler tells us
#   fetcher_instrumentation  sanitizers, or hardening where there is no sanitizer
include(CheckCXXCompilerFlag)
include(CheckCXXSourceCompiles)
include(CheckPIESupported)

set(CMAKE_POSITION_INDEPENDENT_CODE ON)
check_pie_supported(LANGUAGES CXX)

add_library(fetcher_warnings INTERFACE)
target_compile_options(fetcher_warnings INTERFACE
  -Wall -Wextra -Wconversion -Wshadow
  # What a designated initializer leaves out has its default: that is how options structs are written.
  -Wno-missing-field-initializers
  $<$<BOOL:${FETCHER_WERROR}>:-Werror>)

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # gcc 12 sees overlaps in std::string's own code that cannot happen.
  target_compile_options(fetcher_warnings INTERFACE -Wno-restrict)
endif()

add_library(fetcher_instrumentation INTERFACE)

if(FETCHER_SANITIZER STREQUAL "asan")
  # UBSan's extra paths make gcc's flow warnings fire on code that has no such flow.
  target_compile_options(fetcher_instrumentation INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -Wno-maybe-uninitialized)
  target_link_options(fetcher_instrumentation INTERFACE -fsanitize=address,undefined)
elseif(FETCHER_SANITIZER STREQUAL "tsan")
  # TSan does not see fences, and gcc says so at each: tsan_annotations.h tells it about those of the queue.
  target_compile_options(fetcher_instrumentation INTERFACE
    -fsanitize=thread -fno-omit-frame-pointer -Wno-tsan
    "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-include ${PROJECT_SOURCE_DIR}/cmake/tsan_annotations.h>")
  target_link_options(fetcher_instrumentation INTERFACE -fsanitize=thread)
elseif(NOT FETCHER_SANITIZER STREQUAL "")
  message(FATAL_ERROR "FETCHER_SANITIZER is '${FETCHER_SANITIZER}': asan, tsan or empty.")
else()
  foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection)
    string(MAKE_C_IDENTIFIER "FETCHER_HAS${flag}" has_flag)
    check_cxx_compiler_flag(${flag} ${has_flag})
    if(${has_flag})
      target_compile_options(fetcher_instrumentation INTERFACE ${flag})
    endif()
  endforeach()
  # Level 3 is checked by what the C library says about itself: an older one takes 3 for 2 and warns.
  check_cxx_source_compiles("
    #include <features.h>
    #if !defined(__GNUC__) || __GNUC__ < 12 || !__GLIBC_PREREQ(2, 35)
    #error level 2
    #endif
    int main() { return 0; }" FETCHER_HAS_FORTIFY_3)
  if(FETCHER_HAS_FORTIFY_3)
    set(fortify_level 3)
  else()
    set(fortify_level 2)
  endif()
  target_compile_options(fetcher_instrumentation INTERFACE
    $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE> $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=${fortify_level}>)
  target_link_options(fetcher_instrumentation INTERFACE -Wl,-z,relro -Wl,-z,now)
endif()

target_compile_definitions(fetcher_instrumentation INTERFACE $<$<CONFIG:Debug>:_GLIBCXX_ASSERTIONS>)
