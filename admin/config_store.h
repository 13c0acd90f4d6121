// ConfigStore: what people want to run. Every write makes a new immutable revision; nothing is edited in place.
//
// Writers name the revision that they have seen. If another writer came first the write is refused with `conflict` and nothing changes,
// so no change is lost silently.
// Thread: any
#pragma once

#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "admin/consumer.h"

namespace fetcher {

struct StoreError {
    enum class Kind {
        conflict,     // the revision is no longer the newest
        missing,      // no such consumer
        unavailable,  // the store cannot be reached or written
    };
    Kind kind = Kind::unavailable;
    std::string reason;
};

class ConfigStore {
  public:
    template <class T>
    using Answer = tl::expected<T, StoreError>;

    virtual ~ConfigStore() = default;

    // The newest revisions, by sequence.
    virtual Answer<std::vector<StoredConsumer>> list() = 0;
    virtual Answer<std::optional<StoredConsumer>> find(const std::string& consumer_id) = 0;
    // Stores a new consumer as revision 1. Returns it with its sequence and revision.
    virtual Answer<StoredConsumer> create(const StoredConsumer& consumer) = 0;
    // Stores the next revision. `next.revision` is the one it is based on; returns it with the new one.
    virtual Answer<StoredConsumer> replace(const StoredConsumer& next) = 0;
    // Removes the consumer with all its revisions.
    virtual Answer<void> remove(const std::string& consumer_id) = 0;
    // Whether it answers now.
    virtual Answer<void> ping() = 0;
};

}  // namespace fetcher
