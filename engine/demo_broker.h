// DemoBroker: a Kafka broker inside the process (librdkafka's mock cluster) and a generator of plausible payment records, so that
// the demo needs neither Java nor Kafka. Not for production: it keeps everything in memory.
// Thread: any; the generator has a thread of its own
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace fetcher {

class DemoBroker {
  public:
    // Starts a broker with one topic of four partitions.
    explicit DemoBroker(const std::string& topic);
    ~DemoBroker();  // stops the generator and the broker
    DemoBroker(const DemoBroker&) = delete;
    DemoBroker& operator=(const DemoBroker&) = delete;

    const std::string& bootstrap_servers() const;  // 127.0.0.1:port
    void generate(uint32_t records_per_second);    // until the end
    uint64_t produced() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace fetcher
