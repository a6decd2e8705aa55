#ifndef ACTIONCLUSTER_TESTS_UNIT_SERVER_SUPERVISOR_CORE_FIXTURE_H_
#define ACTIONCLUSTER_TESTS_UNIT_SERVER_SUPERVISOR_CORE_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/supervisor/supervisor_core.h"

namespace actioncluster {

// A core, and what it is told: by default of two nodes with a Redis of their own.
class SupervisorCoreFixture : public testing::Test {
 protected:
  using Action = SupervisorAction;

  static SupervisorOptions Options(int workers, bool embedded_redis = true) {
    return {.workers = workers,
            .embedded_redis = embedded_redis,
            .redis_log = "/d/redis.log",
            .worker_log = "the nodes' logs in /d",
            .ready_text = "on 127.0.0.1:7400 (data in /d)",
            .drain_timeout = absl::Seconds(10)};
  }
  static auto Says(const std::string& text) {
    return testing::AllOf(testing::Field(&Action::kind, Action::Kind::kSay), testing::Field(&Action::text, text));
  }
  static auto Logs(const std::string& part) {
    return testing::AllOf(testing::Field(&Action::kind, Action::Kind::kLog),
                          testing::Field(&Action::text, testing::HasSubstr(part)));
  }
  static auto Listens(int slot) { return Says(absl::StrCat("n-", slot, " listens on a")); }
  static Action Do(Action::Kind kind, int slot = 0) { return {.kind = kind, .slot = slot}; }

  SupervisorCore::Actions Ready(int slot) { return core_.WorkerReady(slot, absl::StrCat("n-", slot), "a", now_); }
  SupervisorCore::Actions Killed(int slot) {
    return core_.WorkerEnded(slot, "was killed by signal 9 (Killed)", /*clean=*/false, now_);
  }
  SupervisorCore::Actions Exited(int slot) {
    return core_.WorkerEnded(slot, "exited with status 0", /*clean=*/true, now_);
  }
  SupervisorCore::Actions TickAtDeadline() {
    now_ = core_.next_deadline();
    return core_.Tick(now_);
  }

  // All nodes serve, and Redis.
  void Serve() {
    core_.Start(now_);
    core_.RedisReady(now_);
    for (int slot = 1; slot <= core_.wanted(); ++slot) Ready(slot);
  }
  // One that serves comes to nothing each time that it is started, until it is said to loop.
  void Loop(int slot) {
    Killed(slot);
    for (int deaths = 1; deaths < SupervisorCore::kManyDeaths; ++deaths) {
      Killed(slot);
      TickAtDeadline();
    }
    last_of_loop_ = Killed(slot);
  }

  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  SupervisorCore core_{Options(2)};
  SupervisorCore::Actions last_of_loop_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_TESTS_UNIT_SERVER_SUPERVISOR_CORE_FIXTURE_H_
