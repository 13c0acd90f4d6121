// What a failure of the store is to whoever asked.
// Thread: any; pure
#pragma once

#include "admin/config_store.h"
#include "admin/problem.h"

namespace fetcher {

inline tl::unexpected<Problem> problem_of(const StoreError& error) {
    switch (error.kind) {
        case StoreError::Kind::conflict: return problem(409, error.reason + " Read it again and repeat the change.");
        case StoreError::Kind::missing: return problem(404, error.reason);
        case StoreError::Kind::unavailable: break;
    }
    return tl::unexpected<Problem>(Problem{503, error.reason, {}, {{"Retry-After", "5"}}});
}

}  // namespace fetcher
