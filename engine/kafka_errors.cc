#include "engine/kafka_errors.h"

namespace fetcher {

// A handshake that ends in a certificate ends so every time; one that merely breaks off, as when a broker goes down, does not.
bool is_locked_out(rd_kafka_resp_err_t error, std::string_view text) {
    if (error == RD_KAFKA_RESP_ERR__SSL) return text.find("certificate") != std::string_view::npos;
    return error == RD_KAFKA_RESP_ERR__AUTHENTICATION || error == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED ||
           error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED || error == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
}

// A broker hears of a partition, and that it leads it, in several steps, and answers between any two of them; after an election it may not know yet how far
// the log is committed.
bool is_leader_on_its_way(rd_kafka_resp_err_t error) {
    switch (error) {
        case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
        case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
        case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
        case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
        case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE: return true;
        default: return false;
    }
}

bool is_local(rd_kafka_resp_err_t error) { return error < 0 || error == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE; }

bool is_silence(rd_kafka_resp_err_t error) { return error == RD_KAFKA_RESP_ERR__TIMED_OUT || error == RD_KAFKA_RESP_ERR__TRANSPORT; }

SourceTrouble::Kind trouble_kind(rd_kafka_resp_err_t error, std::string_view text) {
    if (is_locked_out(error, text)) return SourceTrouble::Kind::fatal;
    switch (error) {
        case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
            return SourceTrouble::Kind::broker_unreachable;
        case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
            return SourceTrouble::Kind::topic_missing;
        case RD_KAFKA_RESP_ERR__FATAL:
        case RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL:
            return SourceTrouble::Kind::fatal;
        default:
            return SourceTrouble::Kind::hiccup;
    }
}

}  // namespace fetcher
