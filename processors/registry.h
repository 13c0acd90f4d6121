// The one table of processor types: what exists, what its options mean, how one is made. Registration is explicit in registry.cc.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "engine/backoff.h"
#include "engine/processor.h"
#include "engine/result.h"

namespace fetcher {

// What processors may know of the process they run in. Immutable after start-up. Thread: any
struct ProcessorEnvironment {
    std::string instance_id;                     // names this process among its replicas
    std::vector<std::string> file_sink_roots;    // absolute folders beneath which sinks may write
    std::string secrets_dir;                     // where ${secret:NAME} is looked for besides the environment; empty: nowhere
    std::string certificates_dir;                // where certificates that options name lie; empty: they may name none
    std::string data_dir;                        // where the process keeps its own files, named kafka-fetcher.*; empty: nowhere
    std::vector<std::string> forward_allow;      // where forwarders may send: host names, patterns, networks; empty: anywhere
    bool pin_threads = false;                    // to a core each: poll threads, and what sends request after request
};

// Whom a processor works for.
struct ProcessorOwner {
    std::string consumer_id;
    std::string group;
    std::string topic;
    RetryPolicy retry;  // for what the processor tries again by itself
};

// One thing wrong with an option.
struct ConfigProblem {
    std::string pointer;  // JSON pointer within the processor's config, "" for the config itself
    std::string detail;   // what is wrong and what would be right
};

class ProcessorType {
  public:
    virtual ~ProcessorType() = default;
    virtual std::string name() const = 0;  // as in processor_type
    // JSON Schema (draft 7) of config: types, defaults, limits, descriptions; additionalProperties false; secrets marked "writeOnly".
    virtual nlohmann::json schema() const = 0;
    // What a schema cannot say (a path outside the roots). config has passed the schema. May look at the disk, changes nothing.
    virtual std::vector<ConfigProblem> check(const nlohmann::json& config, const ProcessorOwner& owner,
                                             const ProcessorEnvironment& environment) const = 0;
    // config with its secrets replaced by "***", for answers.
    virtual nlohmann::json masked(const nlohmann::json& config) const { return config; }
    // The option that says who gets the secrets: when it changes, they must be given again. "": none, or it holds them itself.
    virtual std::string secrets_go_to() const { return {}; }
    // What only one writer may have, "" if nothing: two ACTIVE consumers with the same claim are in conflict ("file /a/b.log").
    virtual std::string claim(const nlohmann::json&, const ProcessorOwner&, const ProcessorEnvironment&) const { return {}; }
    // Touches neither disk nor network: that begins with Processor::open.
    virtual Result<std::unique_ptr<Processor>> make(const nlohmann::json& config, const ProcessorOwner& owner,
                                                    const ProcessorEnvironment& environment) const = 0;
    // Removes what it has kept in data_dir of consumers that are none of these.
    virtual void forget_all_but(const std::set<std::string>& /*consumers*/, const ProcessorEnvironment&) const {}
};

class ProcessorRegistry {
  public:
    ProcessorRegistry();  // every type that this build knows
    const ProcessorType* find(const std::string& name) const;  // nullptr if unknown
    const std::vector<std::unique_ptr<ProcessorType>>& types() const { return types_; }
    void add(std::unique_ptr<ProcessorType> type);  // tests add their own

  private:
    std::vector<std::unique_ptr<ProcessorType>> types_;
};

}  // namespace fetcher
