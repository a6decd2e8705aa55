#ifndef ACTIONCLUSTER_TESTS_UNIT_REDIS_CORE_TEST_BASE_H_
#define ACTIONCLUSTER_TESTS_UNIT_REDIS_CORE_TEST_BASE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "backplane/domain/error.h"
#include "backplane/redis/command_core.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster::redis {

inline constexpr absl::Duration kMs = absl::Milliseconds(1);

// Drives a core by hand: the test is the transport, Redis and the clock.
template <class Core>
class CoreTestBase : public testing::Test {
 protected:
  std::string Output() {
    std::string out;
    core().TakeOutput(&out);
    return out;
  }
  absl::Status Feed(absl::string_view bytes) { return core().Feed(bytes, now_); }
  absl::Status Tick() { return core().Tick(now_, &next_); }
  absl::Time Next() {
    EXPECT_TRUE(core().Tick(absl::InfinitePast(), &next_).ok());
    return next_;
  }
  virtual Core& core() = 0;

  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  absl::Time next_;
};

// A command core, with what came of its commands, in the order in which they ended: `name=reply` or `name!status code`.
class CommandCoreTestBase : public CoreTestBase<CommandCore> {
 protected:
  CommandCore& core() override { return core_; }

  CommandCore::Completion Record(const std::string& name) {
    return [this, name](absl::StatusOr<Reply> reply) {
      ended_.push_back(reply.ok() ? name + "=" + std::string(*reply->view().String())
                                  : name + "!" + absl::StatusCodeToString(reply.status().code()));
      last_status_ = reply.status();
    };
  }
  void Execute(const std::string& name, absl::Duration timeout = absl::Seconds(5)) {
    core_.Execute(Command({name}), now_ + timeout, now_, Record(name));
  }
  void Call(const Script& script, const std::string& name, absl::Duration timeout = absl::Seconds(5)) {
    core_.Execute(Command::Call(script, {name}, {}), now_ + timeout, now_, Record(name));
  }
  // What ended since the last call.
  std::vector<std::string> Ended() { return std::exchange(ended_, {}); }

  explicit CommandCoreTestBase(const LinkOptions& options = {}, const std::vector<Script>& scripts = {})
      : core_(options, scripts) {}

  CommandCore core_;
  std::vector<std::string> ended_;
  absl::Status last_status_;
};

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_TESTS_UNIT_REDIS_CORE_TEST_BASE_H_
