#include "processors/file_errors.h"

#include <cerrno>
#include <system_error>

namespace fetcher {
namespace {

bool passes_by_itself(int error_number) {
    return error_number == EMFILE || error_number == ENFILE || error_number == ENOMEM || error_number == EAGAIN ||
           error_number == ESTALE || error_number == ETIMEDOUT;
}

}  // namespace

bool is_disk_full(int error_number) { return error_number == ENOSPC || error_number == EDQUOT; }

Error file_error(int error_number, const std::string& what) {
    const std::string why = std::generic_category().message(error_number);
    if (is_disk_full(error_number)) return {ErrorKind::transient, "disk full: cannot " + what + ": " + why};
    if (error_number == ELOOP || error_number == EXDEV) {
        return {ErrorKind::fatal, "cannot " + what +
                                      ": the path leads over a symbolic link or out of its root. Sinks write only to real folders "
                                      "beneath FILE_SINK_ROOTS; add the link's target to it and use that path"};
    }
    if (error_number == ENOSYS) {
        return {ErrorKind::fatal, "cannot " + what + ": the kernel has no openat2 (Linux 5.6 or newer is needed)"};
    }
    const auto kind = passes_by_itself(error_number) ? ErrorKind::transient : ErrorKind::fatal;
    return {kind, "cannot " + what + ": " + why};
}

}  // namespace fetcher
