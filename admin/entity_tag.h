// The revision of a consumer as HTTP says it: ETag in answers, If-Match in changes (RFC 9110, 8.8.3 and 13.1.1).
// Thread: any
#pragma once

#include "admin/consumer_service.h"
#include "admin/http_types.h"

namespace fetcher {

void add_entity_tag(HttpResponse& response, int64_t revision);

// Without the header, or with *, any revision will do; a weak tag or one that is no revision matches none. 400 if it cannot be read.
Answer<Precondition> if_match(const HttpRequest& request);

}  // namespace fetcher
