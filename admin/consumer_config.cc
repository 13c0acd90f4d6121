#include "admin/consumer_config.h"

#include <algorithm>
#include <map>
#include <set>

#include "admin/consumer_fields.h"
#include "admin/kafka_properties.h"
#include "admin/schema_validator.h"
#include "admin/uuid.h"
#include "processors/dead_letter_destination.h"

namespace fetcher {

using nlohmann::json;

namespace {

std::string pointer_of(size_t index) { return "/processor_configs/" + std::to_string(index); }

ProcessorOwner owner_of(const StoredConsumer& consumer) {
    return {consumer.consumer_id, consumer.spec.consumer_group, consumer.spec.topic, {}};
}

tl::unexpected<Problem> invalid(std::vector<FieldError> errors) {
    return problem(422, "The consumer is not valid; see errors.", std::move(errors));
}

void apply_fields(const json& body, ConsumerSpec& spec) {
    const auto broker = spec.bootstrap_servers();
    spec.broker_ip = body.value("broker_ip", spec.broker_ip);
    spec.broker_port = body.value("broker_port", spec.broker_port);
    spec.topic = body.value("topic", spec.topic);
    spec.consumer_group = body.value("consumer_group", spec.consumer_group);
    spec.auto_offset_reset = body.value("auto_offset_reset", spec.auto_offset_reset);
    spec.partition_assignment_strategy = body.value("partition_assignment_strategy", spec.partition_assignment_strategy);
    spec.dead_letter = body.value("dead_letter", spec.dead_letter);
    spec.retry = body.value("retry", spec.retry);
    spec.restart = body.value("restart", spec.restart);
    // A secret is for the broker that it was given for: for another one it must be given again.
    if (spec.bootstrap_servers() != broker) spec.kafka_properties = masked(spec.kafka_properties);
    if (!body.contains("kafka_properties")) return;
    auto properties = kafka_properties_in(body["kafka_properties"]);
    restore_masked(spec.kafka_properties, properties);
    spec.kafka_properties = std::move(properties);
}

std::vector<ProcessorSpec> processors_in(const json& body) {
    std::vector<ProcessorSpec> processors;
    for (const auto& item : body.at("processor_configs"))
        processors.push_back({item.value("id", ""), item.at("processor_type"), item.value("config", json::object()), item.value("required", true), "", ""});
    return processors;
}

size_t count_of_type(const std::vector<ProcessorSpec>& processors, const std::string& type) {
    return static_cast<size_t>(std::count_if(processors.begin(), processors.end(), [&](const auto& p) { return p.type == type; }));
}

// The processor that `after` continues; nullptr: it is a new one.
const ProcessorSpec* predecessor(const ProcessorSpec& after, const std::vector<ProcessorSpec>& all_before,
                                 const std::vector<ProcessorSpec>& all_after) {
    for (const auto& before : all_before) {
        if (!after.id.empty() && before.id == after.id) return &before;
        if (after.id.empty() && before.type == after.type && count_of_type(all_before, after.type) == 1 &&
            count_of_type(all_after, after.type) == 1)
            return &before;
    }
    return nullptr;
}

std::vector<FieldError> check_ids(const std::vector<ProcessorSpec>& before, const std::vector<ProcessorSpec>& after) {
    std::vector<FieldError> errors;
    std::set<std::string> seen;
    for (size_t i = 0; i < after.size(); ++i) {
        if (after[i].id.empty()) continue;
        const auto* known = predecessor(after[i], before, after);
        if (!known) errors.push_back({pointer_of(i) + "/id", "names no processor of this consumer; leave it out to add one"});
        else if (known->type != after[i].type)
            errors.push_back({pointer_of(i) + "/processor_type", "must stay " + known->type + " while the id is kept"});
        else if (!seen.insert(after[i].id).second) errors.push_back({pointer_of(i) + "/id", "is named twice"});
    }
    return errors;
}

}  // namespace

std::string ConsumerConfig::known_types() const {
    std::string names;
    for (const auto& type : registry_.types()) names += (names.empty() ? "" : ", ") + type->name();
    return names;
}

std::string ConsumerConfig::claim(const ProcessorSpec& processor, const ProcessorOwner& owner) const {
    const auto* type = registry_.find(processor.type);
    if (!type) return "";
    try {
        return type->claim(processor.config, owner, environment_);
    } catch (const json::exception&) {
        return "";  // stored, but no longer what the schema asks for: it cannot run either
    }
}

std::vector<std::string> ConsumerConfig::claims(const StoredConsumer& consumer) const {
    std::vector<std::string> claims;
    for (const auto& processor : consumer.spec.processors) {
        claims.push_back(claim(processor, owner_of(consumer)));
    }
    return claims;
}

std::string ConsumerConfig::dead_letter_claim(const StoredConsumer& consumer) const {
    try {
        return fetcher::dead_letter_claim(consumer.spec.dead_letter, owner_of(consumer), environment_);
    } catch (const json::exception&) {
        return "";
    }
}

std::vector<FieldError> ConsumerConfig::check(const StoredConsumer& consumer) const {
    auto errors = check_kafka_properties(consumer.spec.kafka_properties, environment_);
    if (!consumer.spec.dead_letter.is_null())
        for (auto& found : check_dead_letter(consumer.spec.dead_letter, owner_of(consumer), environment_))
            errors.push_back({"/dead_letter" + found.pointer, std::move(found.detail)});
    if (std::ranges::none_of(consumer.spec.processors, &ProcessorSpec::required))
        errors.push_back({"/processor_configs", "at least one processor must be required: offsets are committed when the required ones have the records"});
    for (size_t i = 0; i < consumer.spec.processors.size(); ++i) {
        const auto& processor = consumer.spec.processors[i];
        const auto* type = registry_.find(processor.type);
        if (!type) {
            errors.push_back({pointer_of(i) + "/processor_type", "is unknown; known: " + known_types()});
            continue;
        }
        auto wrong = validate_by_schema(type->schema(), processor.config);
        if (wrong.empty())
            for (auto& found : type->check(processor.config, owner_of(consumer), environment_))
                wrong.push_back({found.pointer, found.detail});
        for (auto& error : wrong) errors.push_back({pointer_of(i) + "/config" + error.pointer, std::move(error.detail)});
    }
    if (!errors.empty()) return errors;

    std::map<std::string, size_t> owners;
    const auto claimed = claims(consumer);
    for (size_t i = 0; i < claimed.size(); ++i) {
        if (claimed[i].empty()) continue;
        const auto [first, inserted] = owners.emplace(claimed[i], i);
        if (!inserted) errors.push_back({pointer_of(i) + "/config", claimed[i] + " is already used by " + pointer_of(first->second)});
    }
    if (const auto sink = owners.find(dead_letter_claim(consumer)); sink != owners.end())
        errors.push_back({"/dead_letter/file_path", sink->first + " is already used by " + pointer_of(sink->second)});
    return errors;
}

Answer<StoredConsumer> ConsumerConfig::create(const json& body, const std::string& now) const {
    if (auto errors = check_consumer_fields(body, BodyKind::create); !errors.empty()) return invalid(std::move(errors));
    StoredConsumer consumer;
    consumer.consumer_id = new_uuid();
    consumer.desired = body.value("auto_start", false) ? Desired::running : Desired::stopped;
    consumer.created_at = consumer.updated_at = consumer.revised_at = now;
    apply_fields(body, consumer.spec);
    consumer.spec.processors = processors_in(body);
    for (auto& processor : consumer.spec.processors) {
        processor.id = new_uuid();
        processor.created_at = processor.updated_at = now;
    }
    if (auto errors = check(consumer); !errors.empty()) return invalid(std::move(errors));
    return consumer;
}

Answer<StoredConsumer> ConsumerConfig::merge(const StoredConsumer& current, const json& body, const std::string& now) const {
    if (auto errors = check_consumer_fields(body, BodyKind::update); !errors.empty()) return invalid(std::move(errors));
    StoredConsumer next = current;
    apply_fields(body, next.spec);
    if (body.contains("processor_configs")) {
        const auto& before = current.spec.processors;
        const auto after = processors_in(body);
        if (auto errors = check_ids(before, after); !errors.empty()) return invalid(std::move(errors));
        next.spec.processors = after;
        for (auto& processor : next.spec.processors) {
            const auto* known = predecessor(processor, before, after);
            if (known) restore_secrets(*known, processor);
            const bool same = known && known->config == processor.config && known->required == processor.required;
            processor.id = known ? known->id : new_uuid();
            processor.created_at = known ? known->created_at : now;
            processor.updated_at = same ? known->updated_at : now;
        }
    }
    if (auto errors = check(next); !errors.empty()) return invalid(std::move(errors));
    if (!(next.spec == current.spec)) next.updated_at = now;
    return next;
}

Answer<StoredConsumer> ConsumerConfig::restore(const StoredConsumer& current, const ConsumerSpec& old, const std::string& now) const {
    StoredConsumer next = current;
    next.spec = old;
    next.spec.restart_requests = current.spec.restart_requests;
    next.unreadable.clear();  // this is how a damaged one is mended
    for (auto& processor : next.spec.processors) {
        const auto& before = current.spec.processors;
        const auto same = std::find_if(before.begin(), before.end(), [&](const auto& p) {
            return p.id == processor.id && p.type == processor.type && p.config == processor.config;
        });
        processor.updated_at = same == before.end() ? now : same->updated_at;
    }
    if (auto errors = check(next); !errors.empty())
        return problem(422, "The old version is not valid any more; see errors.", std::move(errors));
    if (!(next.spec == current.spec)) next.updated_at = now;
    return next;
}

Result<KafkaCluster> ConsumerConfig::cluster(const ConsumerSpec& spec) const { return kafka_cluster(spec, environment_); }

// An answer shows secrets masked. An option that comes back as it was shown has not been changed; but nobody learns a secret by sending it,
// unseen, to a place of his own.
void ConsumerConfig::restore_secrets(const ProcessorSpec& before, ProcessorSpec& after) const {
    const auto* type = registry_.find(after.type);
    const std::string goes_to = type ? type->secrets_go_to() : "";
    if (!goes_to.empty() && before.config.value(goes_to, json()) != after.config.value(goes_to, json())) return;
    const json shown = masked(before);
    for (auto& [name, value] : after.config.items())
        if (shown.contains(name) && shown[name] == value && before.config.contains(name)) value = before.config[name];
}

json ConsumerConfig::masked(const ProcessorSpec& processor) const {
    // A type that this build does not know may have secrets anywhere.
    const auto* type = registry_.find(processor.type);
    return type ? type->masked(processor.config) : json::object();
}

}  // namespace fetcher
