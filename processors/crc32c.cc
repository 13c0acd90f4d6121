#include "processors/crc32c.h"

#include <array>

namespace fetcher {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // reversed

constexpr std::array<uint32_t, 256> make_table() {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++) value = (value >> 1) ^ ((value & 1) != 0 ? kPolynomial : 0);
        table[i] = value;
    }
    return table;
}
constexpr auto kTable = make_table();

}  // namespace

uint32_t crc32c(std::string_view bytes) {
    uint32_t crc = ~uint32_t{0};
    for (const char c : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(c)) & 255];
    return ~crc;
}

std::string hex32(uint32_t value) {
    constexpr const char* kHex = "0123456789abcdef";
    std::string text;
    for (int shift = 28; shift >= 0; shift -= 4) text.push_back(kHex[(value >> shift) & 15]);
    return text;
}

}  // namespace fetcher
