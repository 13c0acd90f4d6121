// Demo: a broker inside the process, generated payments, and one consumer that goes the same way as any other: through the service, the
// store and the reconciler. Everything in its folder is deleted at each start (DataDir::clear), because the broker's records die with the
// process while the file's checkpoint would stay.
// Thread: main
#pragma once

#include <string>

#include "admin/consumer_service.h"
#include "engine/demo_broker.h"

namespace fetcher {

class Demo {
  public:
    // url: where the API can be reached from this machine.
    Demo(ConsumerService& service, std::string url, const std::string& folder);

    // Creates the consumer and says where to look.
    Answer<void> begin(bool with_token);
    // One line about how it goes; call it about once a second.
    void show();
    // Leaves the line.
    void end();

  private:
    ConsumerService& service_;
    const std::string url_;
    const std::string file_;
    DemoBroker broker_;
    std::string consumer_id_;
    const bool terminal_;
    int seconds_ = 0;
};

}  // namespace fetcher
