// ByteBuffer: bytes that grow, are kept between uses and are never initialised. Copied into by memcpy-like code on the data path.
// Thread: its owner's
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

namespace fetcher {

class ByteBuffer {
  public:
    std::string_view view() const { return {bytes_.get(), size_}; }
    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    void clear() { size_ = 0; }

    // Where at least `bytes` more can be written; commit() says how many of them were.
    char* room(size_t bytes) {
        if (capacity_ - size_ < bytes) grow(size_ + bytes);
        return bytes_.get() + size_;
    }
    void commit(size_t bytes) { size_ += bytes; }

    void append(std::string_view text) {
        if (text.empty()) return;
        std::memcpy(room(text.size()), text.data(), text.size());
        size_ += text.size();
    }
    void append(char c) {
        *room(1) = c;
        size_++;
    }
    void truncate(size_t bytes) { size_ = bytes; }  // to at most size()
    // Drops the first bytes and keeps the rest.
    void consume(size_t bytes) {
        size_ -= bytes;
        if (size_ > 0) std::memmove(bytes_.get(), bytes_.get() + bytes, size_);
    }
    // Gives memory back after an unusually large use.
    void shrink(size_t keep_capacity_bytes) {
        if (capacity_ <= keep_capacity_bytes || size_ > 0) return;
        bytes_.reset();
        capacity_ = 0;
    }

  private:
    void grow(size_t at_least) {
        const size_t capacity = std::max(at_least, capacity_ * 2);
        std::unique_ptr<char[]> bytes(new char[capacity]);
        if (size_ > 0) std::memcpy(bytes.get(), bytes_.get(), size_);
        bytes_ = std::move(bytes);
        capacity_ = capacity;
    }

    std::unique_ptr<char[]> bytes_;
    size_t size_ = 0;
    size_t capacity_ = 0;
};

}  // namespace fetcher
