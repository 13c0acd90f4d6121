// What the threads of a forwarder share, without the threads.
#include "processors/delivery_queue.h"

#include <future>

#include "forwarder_world.h"

namespace fetcher {
namespace {

// A sender that goes on to its next job meanwhile would have that one aborted.
TEST(DeliveryQueueTest, WhoIsAbortedHasStillTheJobThatHeIsAbortedFor) {
    EngineSide engine;
    DeliveryQueue queue({.limits = {1, 1 << 20, 5ms, true}, .max_in_flight = 1, .endpoint = "e", .singly = true});
    queue.bind(engine);
    const auto assignment = make_assignment(0);
    queue.open(assignment, nullptr);
    Batch batch;
    batch.begin(assignment, 0);
    batch.add(0, 0, "x");
    batch.set_next_offset(1);
    engine.hold(batch);
    queue.add(batch, 0);
    const auto job = queue.next(0);
    ASSERT_TRUE(job);
    std::future<void> finished;
    queue.close(0, [&](size_t sender) {
        EXPECT_EQ(sender, 0u);
        finished = std::async(std::launch::async, [&] { queue.finish(*job, answered(200), ""); });
        EXPECT_EQ(finished.wait_for(50ms), std::future_status::timeout);
    });
    ASSERT_TRUE(finished.valid()) << "it was busy";
    finished.get();
    EXPECT_EQ(engine.held(), 0u);
}

}  // namespace
}  // namespace fetcher
