#ifndef ACTIONCLUSTER_TESTS_INTEGRATION_REDIS_REDIS_TEST_BASE_H_
#define ACTIONCLUSTER_TESTS_INTEGRATION_REDIS_REDIS_TEST_BASE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/redis/client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/loop_thread.h"
#include "tests/fakes/redis_server.h"
#include "tests/fakes/waiter.h"

namespace actioncluster::redis {

using Result = absl::StatusOr<Reply>;
using Results = fakes::Waiter<Result>;
using States = fakes::Waiter<absl::Status>;

inline void AwaitOk(const States& states) {
  EXPECT_TRUE(states.NextThat([](const absl::Status& state) { return state.ok(); }).ok());
}
inline absl::Status AwaitNotOk(const States& states) {
  return states.NextThat([](const absl::Status& state) { return !state.ok(); });
}

inline std::string TextOf(const Result& result) {
  if (!result.ok()) return result.status().ToString();
  const auto text = result->view().String();
  return text.ok() ? std::string(*text) : text.status().ToString();
}

// A client on a loop of its own, and what it says of its state.
class TestClient {
 public:
  explicit TestClient(LinkOptions options, std::vector<Script> scripts = {}) {
    thread_.Run([&] {
      client_ = std::make_unique<Client>(thread_.loop(), std::move(options), std::move(scripts));
      client_->OnState([states = states_](const absl::Status& state) { states.Add(state); });
    });
  }
  ~TestClient() { Destroy(); }

  void Destroy() {
    thread_.Run([&] { client_.reset(); });
  }

  void AwaitReady() { AwaitOk(states_); }
  absl::Status AwaitLoss() { return AwaitNotOk(states_); }

  // Sends a command; the result comes to `results`.
  void Send(Command command, const Results& results) {
    thread_.Run([&] { client_->Execute(std::move(command), results.Callback()); });
  }
  void Send(Command command, absl::Duration timeout, const Results& results) {
    thread_.Run([&] { client_->Execute(std::move(command), MonotonicNow() + timeout, results.Callback()); });
  }
  Result Execute(Command command) {
    const Results results;
    Send(std::move(command), results);
    return results.Next();
  }

  const States& states() const { return states_; }
  fakes::LoopThread& thread() { return thread_; }
  Client& client() { return *client_; }

 private:
  const States states_;
  fakes::LoopThread thread_;
  std::unique_ptr<Client> client_;
};

// As nodes have them, and with their rights: keys and channels of the tests' own must be among the nodes'.
inline LinkOptions OptionsFor(const fakes::RedisServer& server) {
  LinkOptions options;
  options.endpoint = server.endpoint();
  options.client_name = "test";
  return options;
}
// Of a client that may say what nodes may not.
inline LinkOptions AsAdministrator(const fakes::RedisServer& server) {
  LinkOptions options;
  options.endpoint = server.administrator();
  options.client_name = "administrator";
  return options;
}

inline std::string KeyOf(absl::string_view name) { return absl::StrCat("{", fakes::kNamespace, ":", name, "}"); }
inline std::string ChannelOf(absl::string_view name) { return absl::StrCat(fakes::kNamespace, ":", name); }

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_TESTS_INTEGRATION_REDIS_REDIS_TEST_BASE_H_
