// The consumer as the document that a store keeps in one column. Unlike the API's answer it holds secrets.
// Thread: any
#pragma once

#include <string>

#include "admin/consumer.h"

namespace fetcher {

std::string to_document(const ConsumerSpec& spec);
ConsumerSpec from_document(const std::string& document);  // throws nlohmann::json::exception on a damaged document
// The same for a store that reads many: a damaged document makes this one consumer unreadable, with the remedy, and never throws.
void read_document(const std::string& document, StoredConsumer& into);

}  // namespace fetcher
