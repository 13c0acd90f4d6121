#include "engine/host_resolver.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

namespace fetcher {

namespace {

using Addresses = Result<std::vector<std::string>>;

Addresses ask(const std::string& host) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0)
        return transient("the host " + host + " cannot be found: " + gai_strerror(error));
    std::vector<std::string> addresses;
    for (const auto* item = found; item; item = item->ai_next) {
        char text[NI_MAXHOST];
        if (getnameinfo(item->ai_addr, item->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) continue;
        if (std::find(addresses.begin(), addresses.end(), text) == addresses.end()) addresses.emplace_back(text);
    }
    freeaddrinfo(found);
    if (addresses.empty()) return transient("the host " + host + " has no address");
    return addresses;
}

// Questions on their way. Never destroyed: a thread that was left behind may outlive main.
struct Pending {
    std::mutex mutex;
    std::map<std::string, std::shared_future<Addresses>> by_host;
};
Pending& pending() {
    static auto* const instance = new Pending;
    return *instance;
}

Result<std::shared_future<Addresses>> begin(const std::string& host, const ThreadStarter& start) {
    auto& questions = pending();
    std::lock_guard lock(questions.mutex);
    if (const auto found = questions.by_host.find(host); found != questions.by_host.end()) return found->second;
    auto promise = std::make_shared<std::promise<Addresses>>();
    auto answer = promise->get_future().share();
    const auto at = questions.by_host.emplace(host, answer).first;
    const auto work = [host, promise, &questions] {
        auto addresses = ask(host);
        {
            std::lock_guard done(questions.mutex);
            questions.by_host.erase(host);
        }
        promise->set_value(std::move(addresses));
    };
    try {
        start(work);
    } catch (const std::system_error& error) {
        questions.by_host.erase(at);  // or nobody would ever ask again
        return transient("the host " + host + " cannot be looked up: no thread can be started: " + error.code().message());
    }
    return answer;
}

}  // namespace

void start_detached(std::function<void()> work) { std::thread(std::move(work)).detach(); }

Addresses resolve_host(const std::string& host, std::chrono::steady_clock::time_point deadline, const ThreadStarter& start) {
    const auto begun = begin(host, start);
    if (!begun) return tl::unexpected<Error>(begun.error());
    const auto& answer = *begun;
    if (answer.wait_until(deadline) != std::future_status::ready) return transient("the host " + host + " is not found in time");
    return answer.get();
}

}  // namespace fetcher
