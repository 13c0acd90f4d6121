#include "engine/kafka_source.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string_view>

#include "engine/broker_watch.h"
#include "engine/kafka_client.h"
#include "engine/kafka_errors.h"
#include "engine/kafka_partition_queue.h"

namespace fetcher {
namespace {

// What a commit says of itself, before the id of its topic: offsets of a topic that was deleted mean nothing in the next one of its name.
constexpr std::string_view kCommitOfTopic = "topic=";

constexpr std::chrono::seconds kSeekTimeout{2};
// While one partition's queue is full only the others are asked for, and where they have nothing new nothing at all comes for so long.
constexpr const char* kFetchWaitMs = "50";

bool cooperative(rd_kafka_t* client) {
    const char* protocol = rd_kafka_rebalance_protocol(client);
    return protocol && std::string_view(protocol) == "COOPERATIVE";
}

}  // namespace

struct KafkaSource::Client {
    std::string topic;
    std::string topic_id;  // empty: not found yet, or the broker does not tell
    int32_t topic_told_by = -1;
    int doorbell;
    bool member = true;
    SourceEvents* events = nullptr;  // nullptr before subscribe() and after close()
    std::vector<rd_kafka_message_t*> messages = std::vector<rd_kafka_message_t*>(KafkaPartitionQueue::kMaxMessages);
    KafkaConsumerHandle handle;  // outlives the queues below
    KafkaQueue consumer_queue;
    KafkaQueue answers;  // of commits and questions that nobody waits for
    bool closed = false;
    BrokerWatch watch;
    std::string locked_out;       // the broker's words, heard before subscribe()

    KafkaPartitionList list(const std::vector<PartitionStart>& starts) const {
        KafkaPartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(starts.size())));
        for (const auto& start : starts) {
            auto* at = rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), start.partition);
            at->offset = start.offset;
            rd_kafka_topic_partition_set_leader_epoch(at, start.leader_epoch);
        }
        return list;
    }

    KafkaPartitionList commit_list(const std::vector<PartitionStart>& next_offsets) const {
        auto made = list(next_offsets);
        if (topic_id.empty()) return made;
        const std::string note = std::string(kCommitOfTopic) + topic_id;
        for (int i = 0; i < made->cnt; i++) {
            auto& at = made->elems[i];
            at.metadata = ::strdup(note.c_str());  // the list frees it
            at.metadata_size = note.size();
        }
        return made;
    }

    bool is_of_this_topic(const rd_kafka_topic_partition_t& committed) const {
        const std::string_view note(static_cast<const char*>(committed.metadata), committed.metadata_size);
        return topic_id.empty() || !note.starts_with(kCommitOfTopic) || note.substr(kCommitOfTopic.size()) == topic_id;
    }

    // What librdkafka says by itself.
    void tell(SourceTrouble::Kind kind, const std::string& text) {
        if (kind == SourceTrouble::Kind::hiccup) watch.broke(text);
        events->on_trouble({kind, text});
    }

    void take_description(const rd_kafka_event_t* event) {
        const auto now = topic_description(event);
        const bool failed = rd_kafka_event_error(const_cast<rd_kafka_event_t*>(event)) != RD_KAFKA_RESP_ERR_NO_ERROR;
        if (!failed) watch.answered();
        if (failed || !now) {
            topic_told_by = -1;  // it may have left the cluster
            return;
        }
        if (topic_id.empty() || now->topic_id.empty() || now->topic_id == topic_id) return;
        events->on_trouble({SourceTrouble::Kind::outdated, "topic " + topic + " was deleted and created anew; the new one is read from its first record"});
    }

    // error: of the question as a whole.
    void take_log_ends(const LogOffsets& found, const std::string& error) {
        if (found.answered) watch.answered();
        const std::string& refused = error.empty() ? found.refused : error;
        events->on_log_ends(found.of_partition, refused.empty());
        if (const auto trouble = watch.log_ends(refused, std::chrono::steady_clock::now())) events->on_trouble(*trouble);
    }

    // --- what librdkafka calls, all inside serve() or close(), so on the poll thread ------------------------------------
    static void on_rebalance(rd_kafka_t* client, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t* list, void* opaque) {
        auto& self = *static_cast<Client*>(opaque);
        std::vector<int32_t> partitions;
        for (int i = 0; i < list->cnt; i++) partitions.push_back(list->elems[i].partition);
        if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
            if (self.events) return self.events->on_assigned(partitions);
            rd_kafka_assign(client, nullptr);  // closing: nothing is taken any more
        } else if (self.events) {
            self.events->on_revoked(partitions, rd_kafka_assignment_lost(client) != 0);
        } else {
            self.give_up(partitions);
        }
    }

    void give_up(const std::vector<int32_t>& partitions) {
        if (member && !cooperative(handle.get())) {
            rd_kafka_assign(handle.get(), nullptr);
            return;
        }
        const auto list = partition_list(topic, partitions, RD_KAFKA_OFFSET_INVALID);
        if (auto* error = rd_kafka_incremental_unassign(handle.get(), list.get())) rd_kafka_error_destroy(error);
    }

    static void on_error(rd_kafka_t* client, int code, const char* text, void* opaque) {
        auto& self = *static_cast<Client*>(opaque);
        const auto error = static_cast<rd_kafka_resp_err_t>(code);
        if (!self.events) {
            if (is_locked_out(error, text)) self.locked_out = text;
            return;
        }
        if (error != RD_KAFKA_RESP_ERR__FATAL) return self.tell(trouble_kind(error, text), text);
        char fatal_text[256];
        const auto real = rd_kafka_fatal_error(client, fatal_text, sizeof fatal_text);
        self.events->on_trouble({SourceTrouble::Kind::fatal, std::string(rd_kafka_err2name(real)) + ": " + fatal_text});
    }

    void serve_answer(const rd_kafka_event_t* event) {
        if (!events) return;
        auto* raw = const_cast<rd_kafka_event_t*>(event);
        const auto error = rd_kafka_event_error(raw);
        if (rd_kafka_event_type(raw) == RD_KAFKA_EVENT_OFFSET_COMMIT) {
            std::vector<PartitionStart> offsets;
            std::string why = error ? rd_kafka_event_error_string(raw) : "";
            const auto* list = rd_kafka_event_topic_partition_list(raw);
            for (int i = 0; list && i < list->cnt; i++) {
                const auto& at = list->elems[i];
                if (at.err) why = rd_kafka_err2str(at.err);
                else if (!error) offsets.push_back({at.partition, at.offset});
            }
            if (why.empty()) watch.answered();
            events->on_committed(offsets, why);
        } else if (rd_kafka_event_type(raw) == RD_KAFKA_EVENT_LISTOFFSETS_RESULT) {
            take_log_ends(log_offsets(event), error ? rd_kafka_event_error_string(raw) : "");
        } else if (rd_kafka_event_type(raw) == RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT) {
            take_description(event);
        }
    }
};

KafkaSource::KafkaSource(std::unique_ptr<Client> client) : client_(std::move(client)) {}
KafkaSource::~KafkaSource() = default;

Result<std::unique_ptr<KafkaSource>> KafkaSource::create(const KafkaSourceOptions& o, Doorbell& doorbell) {
    auto client = std::make_unique<Client>();
    client->topic = o.topic;
    client->doorbell = doorbell.fd();
    client->member = o.member;
    // librdkafka keeps about 200 bytes for each message it has queued, which its byte limit does not count: the number is limited too.
    const size_t prefetch_kib = std::max<size_t>(1, o.prefetch_bytes_per_partition >> 10);
    KafkaProperties properties = {
        {"client.id", "kafka-fetcher"},
        {"group.id", o.group},
        {"partition.assignment.strategy", o.partition_assignment_strategy},
        {"session.timeout.ms", std::to_string(o.session_timeout.count())},
        {"heartbeat.interval.ms", std::to_string(std::max<int64_t>(300, o.session_timeout.count() / 5))},
        {"max.poll.interval.ms", std::to_string(o.max_poll_interval.count())},
        {"auto.offset.reset", "error"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"enable.partition.eof", "true"},
        {"isolation.level", "read_committed"},
        {"queued.max.messages.kbytes", std::to_string(prefetch_kib)},
        {"max.partition.fetch.bytes", std::to_string(std::clamp<size_t>(prefetch_kib * 1024, 64 << 10, 1 << 20))},
        {"queued.min.messages", std::to_string(std::clamp<size_t>(prefetch_kib * 1024 / 128, 1'000, 1'000'000))},
        {"fetch.queue.backoff.ms", "5"},
        {"fetch.wait.max.ms", kFetchWaitMs},
        // A connection that swallows everything is given up after this long; the largest answer must come through a slow line meanwhile.
        {"socket.timeout.ms", "30000"},
        {"fetch.max.bytes", std::to_string(16 << 20)},
        {"topic.metadata.refresh.interval.ms", "10000"},
        {"reconnect.backoff.max.ms", "2000"},
        // Where connections are made only when they are needed, librdkafka 2.14 makes thousands a second, without its backoff, for a question about
        // offsets while no broker answers.
        {"enable.sparse.connections", "false"},
        {"socket.nagle.disable", "true"},
        {"socket.keepalive.enable", "true"},
    };
    for (const auto& more : {connection_properties(o.cluster), consuming_properties(o.cluster)})
        properties.insert(properties.end(), more.begin(), more.end());
    if (o.member && !o.group_instance_id.empty()) properties.emplace_back("group.instance.id", o.group_instance_id);
    auto conf = make_kafka_conf(properties);
    if (!conf) return tl::unexpected(conf.error());
    rd_kafka_conf_set_opaque(conf->get(), client.get());
    rd_kafka_conf_set_rebalance_cb(conf->get(), Client::on_rebalance);
    rd_kafka_conf_set_error_cb(conf->get(), Client::on_error);
    auto handle = make_kafka_client(RD_KAFKA_CONSUMER, std::move(*conf));
    if (!handle) return tl::unexpected(handle.error());
    client->handle.reset(handle->release());
    rd_kafka_poll_set_consumer(client->handle.get());
    client->consumer_queue.reset(rd_kafka_queue_get_consumer(client->handle.get()));
    client->answers.reset(rd_kafka_queue_new(client->handle.get()));
    for (auto* queue : {client->consumer_queue.get(), client->answers.get()})
        rd_kafka_queue_io_event_enable(queue, client->doorbell, &kDoorbellRing, sizeof kDoorbellRing);
    return std::unique_ptr<KafkaSource>(new KafkaSource(std::move(client)));
}

Result<TopicInfo> KafkaSource::find_topic(std::chrono::milliseconds timeout) {
    auto found = describe_topic(client_->handle.get(), client_->topic, timeout);
    if (!found) {
        serve();  // what went wrong is told there; the answer itself just does not come
        return client_->locked_out.empty() ? tl::unexpected(found.error()) : fatal(client_->locked_out);
    }
    client_->topic_id = found->topic_id;
    client_->topic_told_by = found->told_by;
    return TopicInfo{static_cast<int32_t>(found->partitions.size()), std::move(found->topic_id)};
}

Result<void> KafkaSource::subscribe(SourceEvents& events) {
    client_->events = &events;
    if (!client_->member) return {};
    const auto list = partition_list(client_->topic, {RD_KAFKA_PARTITION_UA}, RD_KAFKA_OFFSET_INVALID);
    if (const auto error = rd_kafka_subscribe(client_->handle.get(), list.get())) {
        return fatal("cannot subscribe to " + client_->topic + ": " + rd_kafka_err2str(error));
    }
    return {};
}

void KafkaSource::serve() {
    while (auto* message = rd_kafka_consumer_poll(client_->handle.get(), 0)) {
        if (message->err && client_->events) client_->tell(trouble_kind(message->err, rd_kafka_message_errstr(message)), rd_kafka_message_errstr(message));
        rd_kafka_message_destroy(message);
    }
    while (KafkaEvent event{rd_kafka_queue_poll(client_->answers.get(), 0)}) client_->serve_answer(event.get());
    if (!client_->events) return;
    if (const auto trouble = client_->watch.silence(std::chrono::steady_clock::now())) client_->events->on_trouble(*trouble);
}

Result<std::map<int32_t, PartitionBounds>> KafkaSource::bounds(const std::vector<int32_t>& partitions, std::chrono::milliseconds timeout) {
    auto* client = client_->handle.get();
    const KafkaQueue low_answer(rd_kafka_queue_new(client));
    const KafkaQueue high_answer(rd_kafka_queue_new(client));
    ask_log_offsets(client, client_->topic, partitions, RD_KAFKA_OFFSET_SPEC_EARLIEST, timeout, low_answer.get());
    ask_log_offsets(client, client_->topic, partitions, RD_KAFKA_OFFSET_SPEC_LATEST, timeout, high_answer.get());
    const auto committed = partition_list(client_->topic, partitions, RD_KAFKA_OFFSET_INVALID);
    if (const auto error = rd_kafka_committed(client, committed.get(), timeout_ms(timeout))) {
        return transient(std::string("the group's committed offsets cannot be read: ") + rd_kafka_err2str(error));
    }
    std::map<int32_t, PartitionBounds> bounds;
    for (int i = 0; i < committed->cnt; i++) {
        const auto& at = committed->elems[i];
        if (at.err) return transient(std::string("the group's committed offsets cannot be read: ") + rd_kafka_err2str(at.err));
        if (at.offset < 0) continue;
        auto& found = bounds[at.partition];
        found.committed_elsewhere = !client_->is_of_this_topic(at);
        if (found.committed_elsewhere) continue;
        found.committed = at.offset;
        found.committed_epoch = rd_kafka_topic_partition_get_leader_epoch(&at);
    }
    const auto read = [&](rd_kafka_queue_t* queue, int64_t PartitionBounds::*field) -> Result<void> {
        auto answer = await_event(queue, timeout);
        if (!answer) return transient("the log's offsets cannot be read: " + answer.error().reason);
        const auto found = log_offsets(answer->get());
        if (!found.refused.empty()) return transient("the log's offsets cannot be read: " + found.refused);
        for (const auto& [p, offset] : found.of_partition) bounds[p].*field = offset;
        if (found.of_partition.size() != partitions.size()) return transient("the log's offsets cannot be read: partitions are missing in the answer");
        return {};
    };
    if (auto done = read(low_answer.get(), &PartitionBounds::low); !done) return tl::unexpected(done.error());
    if (auto done = read(high_answer.get(), &PartitionBounds::high); !done) return tl::unexpected(done.error());
    return bounds;
}

std::unique_ptr<PartitionQueue> KafkaSource::queue(int32_t partition) {
    auto* queue = rd_kafka_queue_get_partition(client_->handle.get(), client_->topic.c_str(), partition);
    FETCHER_INVARIANT(queue, "a partition of the subscribed topic has a queue");
    return std::make_unique<KafkaPartitionQueue>(queue, client_->messages, client_->doorbell);
}

// Where a partition waits for its seek: never behind it, for what is skipped there would be taken for read. An offset, not librdkafka's "beginning"
// or "end": it asks for those by a timer that outlives the assignment and the seek, and whose answer moves the partition once more.
int64_t KafkaSource::first_known(int32_t partition) const {
    int64_t low = 0;
    int64_t high = 0;
    rd_kafka_get_watermark_offsets(client_->handle.get(), client_->topic.c_str(), partition, &low, &high);
    return std::max<int64_t>(0, low);
}

void KafkaSource::assign(const std::vector<PartitionStart>& starts) {
    auto* client = client_->handle.get();
    const auto list = client_->list(starts);
    for (int i = 0; i < list->cnt; i++) {
        auto& at = list->elems[i];
        if (at.offset == kNotKnownYet) at.offset = first_known(at.partition);
        rd_kafka_topic_partition_set_leader_epoch(&at, -1);  // asked about below, at one time alone
    }
    std::string refused;
    if (!client_->member || cooperative(client)) {
        if (auto* error = rd_kafka_incremental_assign(client, list.get())) {
            refused = rd_kafka_error_string(error);
            rd_kafka_error_destroy(error);
        }
    } else if (const auto error = rd_kafka_assign(client, list.get())) {
        refused = rd_kafka_err2str(error);
    }
    if (!refused.empty()) return client_->events->on_trouble({SourceTrouble::Kind::fatal, "the assignment was refused: " + refused});
    std::vector<PartitionStart> asked;
    std::ranges::copy_if(starts, std::back_inserter(asked), [](const auto& start) { return start.leader_epoch >= 0; });
    if (const auto sought = seek_partitions(client, client_->list(asked).get(), kSeekTimeout); !sought)
        client_->events->on_trouble({SourceTrouble::Kind::fatal, sought.error().reason});
}

void KafkaSource::restart(int32_t partition, const std::vector<PartitionStart>& all) {
    if (client_->member && !cooperative(client_->handle.get())) return assign(all);  // as a whole or not at all
    unassign({partition});
    assign({*std::ranges::find(all, partition, &PartitionStart::partition)});
}

void KafkaSource::unassign(const std::vector<int32_t>& partitions) { client_->give_up(partitions); }

Result<void> KafkaSource::seek(const PartitionStart& start, std::chrono::milliseconds timeout) {
    return seek_partitions(client_->handle.get(), client_->list({start}).get(), timeout);
}

void KafkaSource::commit_async(const std::vector<PartitionStart>& next_offsets) {
    const auto list = client_->commit_list(next_offsets);
    rd_kafka_commit_queue(client_->handle.get(), list.get(), client_->answers.get(), nullptr, nullptr);
}

Result<void> KafkaSource::commit(const std::vector<PartitionStart>& next_offsets, std::chrono::milliseconds timeout) {
    const KafkaQueue queue(rd_kafka_queue_new(client_->handle.get()));
    const auto list = client_->commit_list(next_offsets);
    if (const auto error = rd_kafka_commit_queue(client_->handle.get(), list.get(), queue.get(), nullptr, nullptr)) {
        return transient(std::string("commit: ") + rd_kafka_err2str(error));
    }
    auto answer = await_event(queue.get(), timeout);
    if (!answer) return transient("commit: " + answer.error().reason);
    client_->serve_answer(answer->get());
    return {};
}

int64_t KafkaSource::fetched_log_end(int32_t partition) {
    int64_t low = -1;
    int64_t high = -1;
    rd_kafka_get_watermark_offsets(client_->handle.get(), client_->topic.c_str(), partition, &low, &high);
    return high < 0 ? -1 : high;
}

void KafkaSource::ask_log_ends(const std::vector<int32_t>& partitions) {
    client_->watch.asked(std::chrono::steady_clock::now());
    ask_log_offsets(client_->handle.get(), client_->topic, partitions, RD_KAFKA_OFFSET_SPEC_LATEST, BrokerWatch::kPatience, client_->answers.get());
    // librdkafka fetches by name: it would go on in the new topic at the old one's offset without a word.
    ask_topic(client_->handle.get(), client_->topic, client_->topic_told_by, BrokerWatch::kPatience, client_->answers.get());
}

void KafkaSource::close(std::chrono::milliseconds timeout) {
    if (std::exchange(client_->closed, true)) return;
    client_->events = nullptr;
    auto* client = client_->handle.get();
    const KafkaQueue queue(rd_kafka_queue_new(client));
    if (auto* error = rd_kafka_consumer_close_queue(client, queue.get())) {
        rd_kafka_error_destroy(error);
        return;
    }
    const auto until = std::chrono::steady_clock::now() + timeout;
    while (!rd_kafka_consumer_closed(client) && std::chrono::steady_clock::now() < until) {
        KafkaEvent event(rd_kafka_queue_poll(queue.get(), 20));
        if (event && rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_REBALANCE) {
            // On a queue of our own the last revocation comes as an event; unanswered, it would keep the client from ending.
            Client::on_rebalance(client, rd_kafka_event_error(event.get()), rd_kafka_event_topic_partition_list(event.get()), client_.get());
        }
    }
}

}  // namespace fetcher
