#include <algorithm>
#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>

#include "admin/query.h"
#include "admin/routes.h"
#include "admin/setting_values.h"

namespace fetcher {

namespace {

// An unreachable cluster holds a thread for seconds; more than these at once are asked to come back.
constexpr int kMaxQuestions = 4;

using json = nlohmann::ordered_json;

class Monitor {
  public:
    Monitor(ConsumerService& service, MonitorOptions options) : service_(service), options_(std::move(options)) {}

    HttpResponse offsets(const HttpRequest& request) {
        const auto query = parse_query(request, {{"group_id", true}, {"bootstrap_servers"}});
        if (!query) return problem_response(query.error());
        return answered(*query, [&](const std::string& servers) {
            return options_.group_offsets(servers, query->at("group_id"), options_.timeout).map([](const KafkaAdmin::Offsets& topics) {
                json body = json::object();
                for (const auto& [topic, partitions] : topics)
                    for (const auto& [partition, offset] : partitions) body[topic][std::to_string(partition)] = offset;
                return body;
            });
        });
    }

    HttpResponse lag(const HttpRequest& request) {
        const auto query = parse_query(request, {{"group_id", true}, {"topic", true}, {"bootstrap_servers"}});
        if (!query) return problem_response(query.error());
        return answered(*query, [&](const std::string& servers) {
            return options_.group_lag(servers, query->at("group_id"), query->at("topic"), options_.timeout)
                .map([](const std::map<int32_t, PartitionLag>& partitions) {
                    json body = json::object();
                    for (const auto& [partition, lag] : partitions)
                        body[std::to_string(partition)] = {
                            {"current_offset", lag.current_offset}, {"log_end_offset", lag.log_end_offset}, {"lag", lag.lag}};
                    return body;
                });
        });
    }

  private:
    template <class Ask>
    HttpResponse answered(const std::map<std::string, std::string>& query, Ask ask) {
        const auto given = query.find("bootstrap_servers");
        const auto servers = allowed(given == query.end() ? options_.default_servers : given->second);
        if (!servers) return problem_response(servers.error());
        const bool busy = questions_.fetch_add(1) >= kMaxQuestions;
        const auto answer = busy ? KafkaAdmin::Answer<json>(json{}) : ask(*servers);
        questions_.fetch_sub(1);
        if (busy) return problem_response({503, "Too many questions to clusters are under way.", {}, {{"Retry-After", "1"}}});
        return answer ? json_response(200, *answer) : problem_response(problem_of(answer.error()));
    }

    // Else the server could be made to connect anywhere.
    Answer<std::string> allowed(const std::string& given) {
        const auto servers = parse_servers(given);
        if (!servers) return problem(422, "The query is not valid; see errors.", {{"?bootstrap_servers", servers.error()}});
        if (*servers == options_.default_servers) return *servers;
        auto known = service_.brokers();
        if (!known) return tl::unexpected<Problem>(known.error());
        known->insert(known->end(), options_.allowed_servers.begin(), options_.allowed_servers.end());
        const auto defaults = *parse_list(options_.default_servers);
        known->insert(known->end(), defaults.begin(), defaults.end());
        const auto wanted = *parse_list(*servers);
        const auto stranger = std::find_if(wanted.begin(), wanted.end(), [&](const std::string& server) {
            return std::find(known->begin(), known->end(), server) == known->end();
        });
        if (stranger == wanted.end()) return *servers;
        return problem(
            403,
            *stranger +
                " is neither in KAFKA_BOOTSTRAP_SERVERS nor a stored consumer's broker. To ask it, list it in MONITOR_BOOTSTRAP_SERVERS.",
            {{"?bootstrap_servers", "is not allowed"}});
    }

    static Problem problem_of(const KafkaAdminError& error) {
        switch (error.kind) {
            case KafkaAdminError::Kind::unreachable: return {504, error.reason, {}, {}};
            case KafkaAdminError::Kind::unknown_group: return {404, error.reason, {{"?group_id", "is unknown to the cluster"}}, {}};
            case KafkaAdminError::Kind::unknown_topic: return {404, error.reason, {{"?topic", "is unknown to the cluster"}}, {}};
            case KafkaAdminError::Kind::refused: break;
        }
        return {502, error.reason, {}, {}};
    }

    ConsumerService& service_;
    const MonitorOptions options_;
    std::atomic<int> questions_{0};
};

}  // namespace

void add_monitor_routes(Router& router, ConsumerService& service, MonitorOptions options) {
    const auto monitor = std::make_shared<Monitor>(service, std::move(options));
    router.add("GET", "/monitor/consumer-group-offsets", [monitor](const HttpRequest& request) { return monitor->offsets(request); });
    router.add("GET", "/monitor/consumer-group-lag", [monitor](const HttpRequest& request) { return monitor->lag(request); });
}

}  // namespace fetcher
