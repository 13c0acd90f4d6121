// ConfigStore: what people want to run. Every write makes a new immutable revision; nothing is edited in place.
//
// Writers name the revision that they have seen. If another writer came first the write is refused with `conflict` and nothing changes,
// so no change is lost silently.
// Thread: any
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
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

inline StoreError changed_meanwhile(const std::string& consumer_id) {
    return {StoreError::Kind::conflict, "Consumer " + consumer_id + " was changed by somebody else in the meantime."};
}
inline StoreError does_not_exist(const std::string& consumer_id) {
    return {StoreError::Kind::missing, "Consumer " + consumer_id + " does not exist."};
}

// While it lives, changes are reported. Its end waits for a report that is on its way.
class StoreWatch {
  public:
    virtual ~StoreWatch() = default;
};

class ConfigStore {
  public:
    template <class T>
    using Answer = tl::expected<T, StoreError>;

    // Of each consumer the newest revisions are kept, older ones forgotten.
    static constexpr int64_t kRevisionsKept = 1'000;

    virtual ~ConfigStore() = default;

    // The newest revisions, by sequence.
    virtual Answer<std::vector<StoredConsumer>> list() = 0;
    // The same for a person who waits: given up within a second.
    virtual Answer<std::vector<StoredConsumer>> list_soon() { return list(); }
    virtual Answer<std::optional<StoredConsumer>> find(const std::string& consumer_id) = 0;
    // Stores a new consumer as revision 1. Returns it with its sequence and revision.
    virtual Answer<StoredConsumer> create(const StoredConsumer& consumer) = 0;
    // Stores the next revision. `next.revision` is the one it is based on; returns it with the new one.
    virtual Answer<StoredConsumer> replace(const StoredConsumer& next) = 0;
    // Removes the consumer with all its revisions; `seen`: only if that revision is still the newest.
    virtual Answer<void> remove(const std::string& consumer_id, std::optional<int64_t> seen = std::nullopt) = 0;

    // The consumer as it was, newest first: at most `limit` of the revisions below `before`.
    virtual Answer<std::vector<StoredConsumer>> revisions(const std::string& consumer_id, int64_t before, size_t limit) = 0;
    virtual Answer<std::optional<StoredConsumer>> revision(const std::string& consumer_id, int64_t revision) = 0;

    // Of these dead letters (DeadLetter::id) of the consumer, those that have been delivered anew.
    virtual Answer<std::set<std::string>> replayed(const std::string& consumer_id, const std::vector<std::string>& letters) = 0;
    // Notes that one has been; once is enough. Forgotten with the consumer.
    virtual Answer<void> mark_replayed(const std::string& consumer_id, const std::string& letter, const std::string& at) = 0;

    // Calls on_change, on a thread of the store's own, soon after somebody may have written: this process or another. It may miss changes
    // while the store is away and reports that it is back; readers poll slowly besides. nullptr: nobody else can write.
    virtual std::unique_ptr<StoreWatch> watch(std::function<void()> on_change) = 0;
    // Whether it answers now.
    virtual Answer<void> ping() = 0;
};

}  // namespace fetcher
