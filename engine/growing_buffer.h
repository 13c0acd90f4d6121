// GrowingBuffer: bytes that are appended and cleared, never initialised: a vector would zero what it grows by.
// Thread: one owner
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>

namespace fetcher {

class GrowingBuffer {
  public:
    const char* data() const { return bytes_.get(); }
    size_t size() const { return size_; }
    size_t capacity_bytes() const { return capacity_; }
    // Room for `bytes` more, to be filled by the caller; valid until the next call.
    char* extend(size_t bytes) {
        if (size_ + bytes > capacity_) reserve(std::max(size_ + bytes, capacity_ + capacity_ / 2));
        char* at = bytes_.get() + size_;
        size_ += bytes;
        return at;
    }
    void reserve(size_t capacity) {
        if (capacity <= capacity_) return;
        auto bytes = std::make_unique_for_overwrite<char[]>(capacity);
        if (size_ > 0) std::memcpy(bytes.get(), bytes_.get(), size_);
        bytes_ = std::move(bytes);
        capacity_ = capacity;
    }
    void clear() { size_ = 0; }

  private:
    std::unique_ptr<char[]> bytes_;
    size_t size_ = 0;
    size_t capacity_ = 0;
};

}  // namespace fetcher
