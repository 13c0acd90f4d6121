// BrokerSilence: since when no question to the brokers has been answered. librdkafka tells of a question that it could not send only when its own request
// times out, half a minute later, and of a broker that refuses connections in words alone; whether anything is answered, whoever asks can see.
// Thread: its owner's
#pragma once

#include <chrono>
#include <optional>

namespace fetcher {

class BrokerSilence {
  public:
    using Time = std::chrono::steady_clock::time_point;
    using Duration = std::chrono::steady_clock::duration;
    static constexpr std::chrono::seconds kPatience{4};  // with one question
    static constexpr std::chrono::seconds kToldEvery{1};

    void asked(Time now) {
        if (!since_) since_ = now;
    }
    void answered() { since_.reset(); }
    // How long the silence has lasted, every kToldEvery once it has been longer than kPatience.
    std::optional<Duration> news(Time now) {
        if (!since_ || now - *since_ < kPatience || now < next_) return std::nullopt;
        next_ = now + kToldEvery;
        return now - *since_;
    }

  private:
    std::optional<Time> since_;  // the first question that is without an answer
    Time next_{};
};

}  // namespace fetcher
