#include <algorithm>
#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>

#include "admin/counted.h"
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
        return answered(*query, [&](const KafkaCluster& cluster) {
            return options_.group_offsets(cluster, query->at("group_id"), options_.timeout).map([](const KafkaAdmin::Offsets& topics) {
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
        return answered(*query, [&](const KafkaCluster& cluster) {
            return options_.group_lag(cluster, query->at("group_id"), query->at("topic"), options_.timeout)
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
        const auto cluster = allowed(given == query.end() ? options_.default_servers : given->second, query.at("group_id"));
        if (!cluster) return problem_response(cluster.error());
        const Counted question(questions_);
        if (!question.within(kMaxQuestions)) return problem_response({503, "Too many questions to clusters are under way.", {}, {{"Retry-After", "1"}}});
        const auto answer = ask(*cluster);
        return answer ? json_response(200, *answer) : problem_response(problem_of(answer.error()));
    }

    // Clusters that a stored consumer has are asked as it asks them, by preference the consumer of that group. Others must be named in the
    // settings, or the server could be made to connect anywhere.
    Answer<KafkaCluster> allowed(const std::string& given, const std::string& group) {
        const auto servers = parse_servers(given);
        if (!servers) return problem(422, "The query is not valid; see errors.", {{"?bootstrap_servers", servers.error()}});
        const bool by_default = *servers == options_.default_servers;
        const auto specs = service_.specs();
        if (!specs && !by_default) return tl::unexpected<Problem>(specs.error());
        const auto wanted = *parse_list(*servers);
        const auto is_wanted = [&](const std::string& server) { return std::find(wanted.begin(), wanted.end(), server) != wanted.end(); };
        const ConsumerSpec* like = nullptr;
        auto known = options_.allowed_servers;
        const auto stored = specs ? *specs : std::vector<ConsumerSpec>{};
        for (const auto& spec : stored) {
            known.push_back(spec.bootstrap_servers());
            if (is_wanted(known.back()) && (!like || (like->consumer_group != group && spec.consumer_group == group))) like = &spec;
        }
        const auto defaults = *parse_list(options_.default_servers);
        known.insert(known.end(), defaults.begin(), defaults.end());
        const auto stranger = std::find_if(wanted.begin(), wanted.end(), [&](const std::string& server) {
            return std::find(known.begin(), known.end(), server) == known.end();
        });
        if (stranger == wanted.end()) return as_asked_by(like, *servers);
        return problem(
            403,
            *stranger +
                " is neither in KAFKA_BOOTSTRAP_SERVERS nor a stored consumer's broker. To ask it, list it in MONITOR_BOOTSTRAP_SERVERS.",
            {{"?bootstrap_servers", "is not allowed"}});
    }

    Answer<KafkaCluster> as_asked_by(const ConsumerSpec* spec, const std::string& servers) const {
        if (!spec || spec->kafka_properties.empty()) return KafkaCluster{servers, {}};
        // Through its own broker alone: its password is not for the other servers that the query may name.
        auto cluster = service_.config().cluster(*spec);
        if (!cluster) return problem(502, "The cluster cannot be asked: " + cluster.error().reason + ".");
        return std::move(*cluster);
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
