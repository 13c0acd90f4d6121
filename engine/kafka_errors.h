// What librdkafka's and the brokers' errors mean to us.
// Thread: any
#pragma once

#include <string_view>

#include "engine/kafka_handles.h"
#include "engine/source.h"

namespace fetcher {

// Whether a broker's or librdkafka's word means that this client will never be let in: what it was made with is wrong.
bool is_locked_out(rd_kafka_resp_err_t error, std::string_view text);
// A partition's leader moves, or the partition is so new that nobody knows yet that he leads it: ask again.
bool is_leader_on_its_way(rd_kafka_resp_err_t error);
// librdkafka says so by itself, by what it remembers of the cluster or because it has not heard anything.
bool is_local(rd_kafka_resp_err_t error);
// The request has not been answered.
bool is_silence(rd_kafka_resp_err_t error);
SourceTrouble::Kind trouble_kind(rd_kafka_resp_err_t error, std::string_view text);

}  // namespace fetcher
