// SinkOpening: takes a sink's file over, whatever state its last owner left it in: never there, in use by somebody else, cut off in the
// middle of a write, a sync, a rotation or its own creation, or tampered with.
//
// Invariant everything rests on: no byte is written to a file before a checkpoint that names its inode is durable.
// Thread: worker
#pragma once

#include <memory>
#include <string>

#include "engine/result.h"
#include "processors/checkpoint_file.h"
#include "processors/data_file.h"
#include "processors/sink_folder.h"
#include "processors/sink_format.h"

namespace fetcher {

// Everything a sink's file consists of. folder has a fixed address, for the others point to it.
struct OpenedSink {
    std::unique_ptr<SinkFolder> folder;
    CheckpointFile checkpoint;
    DataFile data;
};

// On return the file ends exactly where the checkpoint says, no rotation is under way, and all of it would survive a power cut.
// Transient error: the file is in use, the disk is full. Fatal: the path is refused, or file and checkpoint do not belong together.
Result<OpenedSink> open_sink(SystemCalls& calls, const RootedPath& path, const SinkFormat& format, const SinkOwner& owner);

// The last two steps of a rotation, once the file has its final name: a new file, and a checkpoint that names it. Returns it.
Result<DataFile> begin_next_file(const SinkFolder& folder, CheckpointFile& checkpoint, const SinkFormat& format);

}  // namespace fetcher
