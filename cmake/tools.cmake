# What makes a build faster without changing what is built: ccache and mold, where they are installed.
find_program(FETCHER_CCACHE ccache)
if(FETCHER_CCACHE)
  # Paths below the checkout are hashed as relative ones, so that a second clone hits the same cache.
  foreach(language C CXX)
    set(CMAKE_${language}_COMPILER_LAUNCHER
        ${CMAKE_COMMAND} -E env "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_NOHASHDIR=1 ${FETCHER_CCACHE})
  endforeach()
endif()

find_program(FETCHER_MOLD mold)
if(FETCHER_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
