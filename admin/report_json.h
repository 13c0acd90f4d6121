// How a process reports its consumers to the others: ConsumerReports as JSON and back. Reports of other versions of this program are read as
// far as they are understood; what is missing keeps its default.
// Thread: any
#pragma once

#include <optional>
#include <string>

#include "admin/replica.h"

namespace fetcher {

std::string write_reports(const ConsumerReports& reports);
// nullopt: this is no report.
std::optional<ConsumerReports> read_reports(const std::string& text);

}  // namespace fetcher
