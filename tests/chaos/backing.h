#ifndef ACTIONCLUSTER_TESTS_CHAOS_BACKING_H_
#define ACTIONCLUSTER_TESTS_CHAOS_BACKING_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/fakes/redis_server.h"

namespace actioncluster::chaos {

// The Redis of a drill. To be used from the main thread.
class Backing {
 public:
  virtual ~Backing() = default;
  // For `--redis`.
  virtual std::string url() const = 0;
  // The one that is written to.
  virtual fakes::RedisServer& master() = 0;
};

// One that writes down each command before it answers, and has it again when it was killed.
class SingleRedis : public Backing {
 public:
  // In this process's own network, by a unix socket;
  SingleRedis();
  // or in a network namespace (a file), by this address.
  SingleRedis(int network, std::string address);
  std::string url() const override { return url_; }
  fakes::RedisServer& master() override { return server_; }

 private:
  fakes::RedisServer server_;
  const std::string url_;
};

// A master, a replica, and three sentinels.
class SentinelRedis : public Backing {
 public:
  SentinelRedis();
  std::string url() const override;
  fakes::RedisServer& master() override { return *servers_[master_]; }

  // Why what follows did not come about, which makes the rest of it meaningless; empty: it always has.
  const std::string& failure() const { return failure_; }

  // The sentinels agree on the master, know of a replica that follows it, and could fail over.
  void AwaitReady();
  // Asks a sentinel for a failover, and awaits it. `paused`: the master takes no writes from the moment before, until its replica has all.
  void FailOver(bool paused);
  // SIGKILL to the master, and its failover awaited. Not zero: its replica has been cut off for so long when that happens. How far the replica was behind, in bytes.
  int64_t KillMaster(absl::Duration cut_off);
  // Whoever was the master before is a replica of the one that is now, also if it was killed.
  void BringBack();

  // Failovers that nobody asked for, as a master was too slow for the sentinels: on a machine that is too busy for these drills.
  int64_t unasked() const { return unasked_; }

 private:
  void Must(absl::FunctionRef<bool()> condition, absl::string_view what);
  // All sentinels name the other server, and it says that it is the master. Until then `meanwhile` is done again and again.
  void AwaitOther(absl::FunctionRef<void()> meanwhile);
  // The port that it names.
  std::string MasterBy(fakes::RedisServer& sentinel) const;
  bool IsNamed(fakes::RedisServer& sentinel, size_t server) const;
  // The server that all sentinels name, if that says that it is the master; else none of them.
  size_t AgreedMaster();

  std::deque<fakes::RedisServer> redis_;
  std::deque<fakes::RedisServer> sentinels_;
  std::deque<fakes::RedisServer*> servers_;
  size_t master_ = 0;
  bool killed_ = false;
  int64_t unasked_ = 0;
  std::string failure_;
};

}  // namespace actioncluster::chaos

#endif  // ACTIONCLUSTER_TESTS_CHAOS_BACKING_H_
