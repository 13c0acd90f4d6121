// FileDeadLetters: dead letters as lines of JSON, appended to a file beneath FILE_SINK_ROOTS:
//
//   {"failed_at":"2025-01-01T12:00:00.123Z","consumer_id":"…","consumer_group":"g","processor_id":"…","processor_type":"database_sync",
//    "error":"…","replays":0,"topic":"t","partition":0,"offset":7,"timestamp":1700000000000,"key":"k","headers":[…],"value":"…"}
//
// timestamp, key, headers and value are as in ndjson_encoder.h. The file is opened for each call, so it may be moved away at any time.
// A file with a checkpoint beside it is a sink's, and refused. A line that a killed process left unfinished is ended by the next; readers skip it, its record follows once more.
// Thread: any
#pragma once

#include <memory>
#include <string>

#include "engine/dead_letters.h"
#include "processors/path_template.h"
#include "processors/system_calls.h"

namespace fetcher {

class FileDeadLetters final : public DeadLetters {
  public:
    FileDeadLetters(RootedPath path, SystemCalls& calls) : path_(std::move(path)), calls_(calls) {}

    Result<void> keep(const Batch& batch, const std::vector<BadRecord>& bad, const Refuser& refuser) override;

  private:
    Result<void> append(const Batch& batch, const std::vector<BadRecord>& bad, const Refuser& refuser);

    const RootedPath path_;
    SystemCalls& calls_;
};

}  // namespace fetcher
