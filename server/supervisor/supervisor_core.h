#ifndef ACTIONCLUSTER_SERVER_SUPERVISOR_SUPERVISOR_CORE_H_
#define ACTIONCLUSTER_SERVER_SUPERVISOR_SUPERVISOR_CORE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace actioncluster {

// What the supervisor is to do next.
struct SupervisorAction {
  enum class Kind {
    kStartRedis,
    kStopRedis,    // SIGTERM
    kKillRedis,    // SIGKILL
    kStartWorker,  // slot
    kStopWorker,   // slot; SIGTERM
    kKillWorker,   // slot; SIGKILL
    kSay,          // text: a line for who started the program
    kLog,          // text: a line for the log
  };
  Kind kind;
  int slot = 0;
  std::string text = "";

  friend bool operator==(const SupervisorAction&, const SupervisorAction&) = default;
};

struct SupervisorOptions {
  int workers = 1;
  bool embedded_redis = true;
  std::string redis_log;   // Where the embedded redis-server says why it ended.
  std::string ready_text;  // What follows `3 nodes are ready`.
  absl::Duration drain_timeout = absl::Seconds(10);
};

// The supervisor's decisions. Redis is started first and stopped last; workers are started one after the other, since names are claimed in
// order. Whatever fails while starting stops everything. Once all are ready:
//
// - A redis-server that dies is started again at once, then after short pauses; five deaths within 30 s end everything.
// - A worker that dies is logged and stays away; when none is left, everything ends.
// - The first signal stops the workers and waits for them to drain; the second kills those that are left.
//
// Does no I/O and reads no clock: it is told what happened and when, and returns what to do, in this order. Times are monotonic. Not thread-safe.
class SupervisorCore {
 public:
  using Actions = std::vector<SupervisorAction>;

  static constexpr absl::Duration kStartLimit = absl::Seconds(30);  // For a worker to be ready, for Redis to answer.
  static constexpr absl::Duration kDrainGrace = absl::Seconds(5);   // On top of the drain timeout.
  static constexpr absl::Duration kRedisStopLimit = absl::Seconds(10);
  static constexpr int kRedisDeaths = 5;
  static constexpr absl::Duration kRedisDeathsWithin = absl::Seconds(30);

  explicit SupervisorCore(SupervisorOptions options);

  Actions Start(absl::Time now);

  // Redis was asked whether it answers, or it ended (`how`, as of DescribeExit), or could not even be started.
  Actions RedisReady(absl::Time now);
  Actions RedisLoading(absl::Time now);
  Actions RedisEnded(absl::string_view how, absl::Time now);

  // What a worker said on its pipe, or how it ended.
  Actions WorkerReady(int slot, absl::string_view name, absl::string_view addresses, absl::Time now);
  Actions WorkerFailed(int slot, absl::string_view reason, absl::Time now);
  Actions WorkerEnded(int slot, absl::string_view how, absl::Time now);

  // SIGTERM or SIGINT.
  Actions Signalled(absl::Time now);

  // To be called at next_deadline(), or later.
  Actions Tick(absl::Time now);
  absl::Time next_deadline() const;

  // Redis runs, and it is not known to answer: ask it.
  bool probing() const { return redis_ == Process::kStarting; }

  // Nothing runs any more, and this is what came of it.
  bool done() const { return phase_ == Phase::kDone; }
  const absl::Status& result() const { return result_; }

 private:
  enum class Phase { kStartingRedis, kStartingWorkers, kServing, kStoppingWorkers, kStoppingRedis, kDone };
  enum class Process { kAbsent, kStarting, kReady };
  struct Worker {
    Process process = Process::kAbsent;
    std::string name;  // Empty until it is ready.
  };

  bool starting() const { return phase_ == Phase::kStartingRedis || phase_ == Phase::kStartingWorkers; }
  bool stopping() const { return phase_ > Phase::kServing; }
  int Living() const;
  std::string Label(int slot) const;
  void StartRedis(absl::Time now, Actions* actions);
  void StartNextWorker(absl::Time now, Actions* actions);
  void RedisDied(absl::string_view how, absl::Time now, Actions* actions);
  void Stop(absl::Status result, absl::Time now, Actions* actions);
  void KillWorkers(Actions* actions) const;
  void StopRedisIfIdle(absl::Time now, Actions* actions);

  const SupervisorOptions options_;
  Phase phase_ = Phase::kStartingRedis;
  absl::Status result_;
  absl::Time deadline_ = absl::InfiniteFuture();  // Of the phase: a worker's start, the drain, Redis's stop.

  Process redis_ = Process::kAbsent;
  absl::Time redis_deadline_ =
      absl::InfiniteFuture();             // When it must answer; while it is absent: when it is started again.
  std::vector<absl::Time> redis_deaths_;  // Within the last kRedisDeathsWithin.

  std::vector<Worker> workers_;  // By slot - 1.
  int started_ = 0;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SUPERVISOR_SUPERVISOR_CORE_H_
